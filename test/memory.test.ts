import { once } from "node:events";
import { request } from "node:http";
import type { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { run } from "./conformance/stage.ts";
import { serve } from "./memory/process.ts";
import { startUpstream } from "./upstream.ts";
import { answerTo, open, send } from "./wire.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";

leaveNothingOpen();

const megabyte = 1024 * 1024;
const most = 64 * megabyte;
const period = "0123456789abcdef";
const piece = Buffer.alloc(256 * 1024, period);

/** What stands at a place of an endless row of pieces. */
function pieceAt(offset: number, length: number): Buffer {
  return piece.subarray(offset % period.length, (offset % period.length) + length);
}

/** Writes as fast as it is let; `stalled` resolves with the bytes written when nothing moves any more. */
function pour(to: Writable, total: number): { stalled: Promise<number>; finished: Promise<void> } {
  let written = 0;
  const finished = (async () => {
    for (; written < total; written += piece.length) if (!to.write(piece)) await once(to, "drain");
    to.end();
  })();
  const stalled = (async () => {
    for (let before = -1, still = 0; still < 5;) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      still = written === before ? still + 1 : 0;
      before = written;
    }
    return written;
  })();
  return { stalled, finished };
}

const posted = [
  ["x-fal-target-url", run],
  ["content-type", "application/json"],
] as const;

// A web stream does not tell when a piece was sent, so there pieces are left to V8.
describe.each([
  ["node", 24 * megabyte],
  ["express 5", 24 * megabyte],
  ["web", 2 * most],
])("%s holds little of", (name, mostRead) => {
  it("400 MB to a caller who does not read, and then reads it all", async () => {
    const total = 400 * megabyte;
    const upstream = await startUpstream();
    const { url, grown } = await serve(name, upstream);
    await send(url, { method: "POST", headers: posted, body: "{}" });
    const poured = Promise.withResolvers<ReturnType<typeof pour>>();
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "image/png", "content-length": total });
      poured.resolve(pour(response, total));
    });
    await grown();
    const incoming = await open(url, { method: "POST", headers: posted, body: "{}" });
    const { stalled, finished } = await poured.promise;
    expect(await stalled).toBeLessThan(most);
    expect(await grown()).toBeLessThan(most);
    let bytes = 0;
    let wrong = 0;
    for (let part = await incoming.read(); part !== null; part = await incoming.read()) {
      if (!part.equals(pieceAt(bytes, part.length))) wrong += 1;
      bytes += part.length;
    }
    await finished;
    expect([bytes, wrong, incoming.response.complete]).toEqual([total, 0, true]);
    expect(await grown()).toBeLessThan(mostRead);
  });
});

// fetch keeps what it has sent of a streamed body, so on the web transport the size limit (32 MiB) is the bound
describe.each([
  ["node", 400],
  ["web", 32],
])("%s holds little of", (name, megabytes) => {
  it(`${megabytes} MB from a caller to an upstream that does not read, and then reads it all`, async () => {
    const total = megabytes * megabyte;
    const upstream = await startUpstream();
    const { url, grown } = await serve(name, upstream);
    await send(url, { method: "POST", headers: posted, body: "{}" });
    upstream.answer(({ request: incoming }) => void incoming.removeAllListeners("data").pause());
    await grown();
    const headers = { ...Object.fromEntries(posted), "content-length": total };
    const sending = request(url, { method: "POST", agent: false, headers }).on("error", () => undefined);
    const { stalled, finished } = pour(sending, total);
    expect(await stalled).toBeLessThan(most);
    expect(await grown()).toBeLessThan(most);
    let bytes = 0;
    const arrival = upstream.arrivals[1];
    for (const part of arrival?.received ?? []) bytes += part.length;
    arrival?.request.on("data", (chunk: Buffer) => (bytes += chunk.length));
    arrival?.request.once("end", () => arrival.response.end("{}")).resume();
    const answer = await answerTo(sending);
    answer.resume();
    await finished;
    expect([bytes, answer.statusCode]).toEqual([total, 200]);
  });
});
