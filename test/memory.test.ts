import { once } from "node:events";
import { Agent, request } from "node:http";
import type { Writable } from "node:stream";
import { describe, expect, it } from "vitest";
import { requestId, run, stream, submit } from "./conformance/stage.ts";
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

const targetOf = (target: string): [string, string][] => [
  ["x-fal-target-url", target],
  ["content-type", "application/json"],
];
const posted = targetOf(run);

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

// Because many calls were once open together, V8 must not put what later calls make into its old generation, where it outlives them.
it("polls and submits leave nothing to the old generation after hundreds of streams", async () => {
  const upstream = await startUpstream();
  const { url, survived } = await serve("node", upstream);
  upstream.answer(({ url: target, response }) => {
    if (target.endsWith("/stream")) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: {}\n\n");
    } else if (target.endsWith("/status"))
      response.end(`{"status":"IN_PROGRESS","request_id":"${requestId}","logs":null}`);
    else response.end(`{"request_id":"${requestId}"}`);
  });
  const submitted = await send(url, { method: "POST", headers: targetOf(submit), body: "{}" });
  const { request_id: id } = JSON.parse(submitted.body.toString()) as { request_id: string };
  const calls = [
    { method: "GET", target: `${submit}/requests/${id}/status` },
    { method: "POST", target: submit },
  ];
  for (let round = 0; round < 3; round += 1) {
    await openAndLeave(url, 500);
    for (const call of calls) await repeat(url, call, 4000);
  }
  await openAndLeave(url, 500);
  const shares: number[] = [];
  for (const call of calls) {
    await survived();
    await repeat(url, call, 6000);
    shares.push(await survived());
  }
  expect(
    shares.every((share) => share < 0.25),
    `survived: ${shares.join(", ")}`,
  ).toBe(true);
}, 60_000);

/** Streams that are all opened at once, and left when each has begun. */
async function openAndLeave(url: string, count: number): Promise<void> {
  const headers = Object.fromEntries(targetOf(stream));
  const asked = Array.from({ length: count }, () => request(url, { method: "POST", agent: false, headers }).end("{}"));
  const answers = await Promise.all(asked.map((one) => answerTo(one)));
  expect(answers.every(({ statusCode }) => statusCode === 200)).toBe(true);
  for (const answer of answers) answer.destroy();
}

/** So many calls over 50 connections. */
async function repeat(url: string, call: { method: string; target: string }, count: number): Promise<void> {
  const { method, target } = call;
  const headers = Object.fromEntries(targetOf(target));
  const agent = new Agent({ keepAlive: true, maxSockets: 50 });
  let left = count;
  const ask = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const answer = await answerTo(request(url, { method, agent, headers }).end(method === "GET" ? undefined : "{}"));
      expect(answer.statusCode).toBe(200);
      for await (const _piece of answer);
    }
  };
  await Promise.all(Array.from({ length: 50 }, ask));
  agent.destroy();
}
