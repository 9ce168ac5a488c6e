import type { FalClient } from "@fal-ai/client";
import type { RecordedCall } from "@keyway/emulator";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectByHeader, connectByPath, connectStraight } from "./client/connect.ts";
import { createSteadyEmulator, patterns } from "./client/patterns.ts";
import { type Seen, createRecorder } from "./client/recording.ts";
import type { Mounted } from "./conformance/mount.ts";
import { mounts } from "./conformance/mounts/all.ts";
import { byName } from "./conformance/stage.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";

leaveNothingOpen();

/** Everything that could differ: what the app's author sees, what the client got, what fal got. */
interface Trace {
  readonly outcome: unknown;
  readonly answers: readonly Seen[];
  readonly requests: readonly unknown[];
}

type Connect = (fetch: typeof globalThis.fetch) => FalClient;

/** Request headers that must be the same at fal. */
const requestHeader = /^(?:accept|content-type|user-agent|last-event-id|x-fal-.*|x-app-fal-.*)$/i;

const ways = [
  ["header form, jobs of the app: exactly", "header", "app"],
  ["header form, jobs sealed: but for the ids", "header", "caller"],
  ["path form, jobs of the app: but for the URLs", "path", "app"],
  ["path form, jobs sealed: but for ids and URLs", "path", "caller"],
] as const;

describe("the client sees the same through the proxy", () => {
  const emulator = createSteadyEmulator();
  const straight = new Map<string, Trace>();
  let url: string;

  async function trace(name: string, connect: Connect): Promise<Trace> {
    emulator.reset({ ids: true });
    const { fetch, seen } = createRecorder();
    const outcome = await patterns[name]?.(connect(fetch));
    return {
      outcome: structuredClone(outcome),
      answers: await seen(),
      requests: emulator.calls.filter(isCall).map(toRequest),
    };
  }

  beforeAll(async () => {
    ({ url } = await emulator.listen());
    for (const name of Object.keys(patterns)) {
      straight.set(name, await trace(name, (fetch) => connectStraight(url, fetch)));
    }
  });
  afterAll(() => emulator.close());

  it("every pattern was played, and played twice it is the same", async () => {
    for (const [name, first] of straight) {
      expect(first.answers.length).toBeGreaterThan(0);
      const again = await trace(name, (fetch) => connectStraight(url, fetch));
      expect(undo(again, url), name).toEqual(undo(first, url));
    }
  });

  describe.each(mounts.map((mount) => [mount.name, mount] as const))("%s", (_name, mount) => {
    describe.each(ways)("%s", (_way, form, ownership) => {
      let mounted: Mounted;
      beforeAll(async () => {
        mounted = await mount.startMount({
          authorize: byName,
          endpoints: {
            "demo/**": { methods: ["POST", "GET"] },
            "fal-ai/**": {},
            "me/**": {},
            "123/**": {},
            "workflows/**": {},
          },
          upstream: { url, key: "emulator" },
          ownership,
        });
      });
      afterAll(() => mounted.close());

      it.each(Object.keys(patterns))("%s", async (name) => {
        const through = await trace(name, (fetch) =>
          form === "header" ? connectByHeader(mounted, fetch) : connectByPath(mounted, fetch),
        );
        const expected = straight.get(name);
        if (form === "header" && ownership === "app") expect(targets(through)).toEqual(targets(expected));
        else expect(undo(through, mounted.url)).toEqual(undo(expected, url));
        if (ownership === "caller" && name.startsWith("submit")) expect(JSON.stringify(through.answers)).toMatch(seal);
      });
    });
  });
});

const seal = /([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[A-Za-z0-9_-]{22}/g;

/** Undoes the documented replacements, and nothing else: sealed ids, and URLs that lead back to us. */
function undo(given: Trace | undefined, base: string): unknown {
  const undone = JSON.stringify(given).replace(seal, "$1").replaceAll(`${base}/queue.fal.run`, "https://queue.fal.run");
  return targets(JSON.parse(undone) as Trace);
}

/** In path form, and straight to the emulator, the URL that was meant follows a base of this machine. */
function targets(given: Trace | undefined): unknown {
  const base = /^http:\/\/127\.0\.0\.1:\d+(?:\/api\/fal\/proxy)?\//;
  const answers = given?.answers.map(({ target, ...rest }) => ({ ...rest, target: target.replace(base, "https://") }));
  return { ...given, answers };
}

/** Files are put and got without the proxy. */
function isCall({ kind }: RecordedCall): boolean {
  return kind !== "cdn";
}

function toRequest({ method, host: _host, url, sha256, headers, end }: RecordedCall): unknown {
  const lines = headers
    .filter(([name]) => requestHeader.test(name))
    .map(([name, value]) => `${name.toLowerCase()}: ${value}`);
  return { method, url, sha256, end, headers: lines.toSorted() };
}
