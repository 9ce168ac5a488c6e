import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { type Case, groups } from "./autobahn.ts";
import { type EchoPlace, converse, startEcho } from "./echo.ts";
import { type ServerFrame, readFrames } from "./raw-frames.ts";

leaveNothingOpen();

let place: EchoPlace;
beforeAll(async () => {
  // 9.3.1 has 65,536 fragments, of which ws takes 16,384 unless it is told otherwise.
  place = await startEcho({}, undefined, { maxFragments: 100_000, maxBufferedChunks: 1_000_000 });
});
afterAll(() => place.close());

/** Upstream judges: W31, W33 to W38, W44, W45, W52 to W55, W57, W59, W60. Each case is told to it directly and through the tunnel. */
describe("upstream judges, with the tunnel as without: the cases of the Autobahn suite", () => {
  it.each(groups)("%s", { timeout: 60_000 }, async (name, make) => {
    const cases = make();
    const atOnce = name.startsWith("9") ? 2 : 16;
    await inParallel(cases, atOnce, async (one) => {
      const heard = await converse(place.tunnelled, one.pieces);
      const direct = await converse(place.direct, one.pieces);
      expect(heard.equals(direct), `${one.id}: as without the tunnel`).toBe(true);
      expect(toOutcome(readFrames(heard)), one.id).toEqual(toExpected(one));
    });
    expect(cases.length).toBeGreaterThan(6);
  });
});

async function inParallel<T>(all: readonly T[], atOnce: number, run: (one: T) => Promise<void>): Promise<void> {
  const waiting = [...all];
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await run(one);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

function toOutcome(frames: readonly ServerFrame[]): object {
  const last = frames.at(-1);
  const code = last?.opcode === 8 && last.payload.length >= 2 ? last.payload.readUInt16BE(0) : null;
  return {
    echoes: frames.filter(({ opcode }) => opcode === 1 || opcode === 2).length,
    pongs: frames.filter(({ opcode }) => opcode === 10).length,
    closes: frames.filter(({ opcode }) => opcode === 8).length,
    ends: code,
  };
}

function toExpected({ echoes = 0, pongs = 0, ends }: Case): object {
  return { echoes, pongs, closes: 1, ends };
}
