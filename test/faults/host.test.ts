import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { run, stage, stream, submit } from "../conformance/stage.ts";
import { serve } from "../memory/process.ts";
import { type Arrival, respond, startUpstream } from "../upstream.ts";
import { type Sent, open, send } from "../wire.ts";

leaveNothingOpen();

const queue = `${submit}/requests`;
const eventStream = { "content-type": "text/event-stream" };

function post(target: string): Sent {
  return {
    method: "POST",
    headers: [
      ["x-fal-target-url", target],
      ["content-type", "application/json"],
    ],
    body: "{}",
  };
}

describe.each([node, web])("F30 the wall clock jumps: $name", (mount) => {
  const day = 86_400_000;
  it.each([
    ["a day on", day],
    ["a day back", -day],
  ])("%s: streams go on, nothing is timed out, and calls are let in", async (_name, jump) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const { upstream, ask, open: begin, start } = await stage(mount, { reauthorize: 50 });
    upstream.answer(({ response }) => response.writeHead(200, eventStream).write("data: 1\n\n"));
    const incoming = await begin(stream);
    expect(String(await incoming.read())).toBe("data: 1\n\n");
    upstream.answer(() => undefined);
    const waiting = once(start(run), "response");
    const held = await vi.waitFor(() => {
      const [, second] = upstream.arrivals;
      if (second === undefined) throw new Error("not yet");
      return second;
    });
    vi.setSystemTime(Date.now() + jump);
    // long enough for the stream to be asked about again
    await pause(200);
    upstream.arrivals[0]?.response.write("data: 2\n\n");
    expect(String(await incoming.read())).toBe("data: 2\n\n");
    respond(held.response, 200, {}, "{}");
    expect((await waiting)[0]).toMatchObject({ statusCode: 200 });
    upstream.answer(({ response }) => respond(response, 200, {}, "{}"));
    expect((await ask(run)).status).toBe(200);
    incoming.leave();
  });
});

describe("a host that is short of something", () => {
  it.each(["node", "web"])("F31 a heap of 64 MB: 200 streams on %s, each whole", { timeout: 60_000 }, async (name) => {
    const upstream = await startUpstream();
    const { url, ended } = await serve(name, upstream, "--max-old-space-size=64");
    const text = `data: ${"x".repeat(2000)}\n\n`;
    const open200 = Promise.withResolvers<void>();
    upstream.answer(({ response }) => {
      response.writeHead(200, eventStream).write(text);
      if (upstream.arrivals.length === 200) open200.resolve();
    });
    const answers = Array.from({ length: 200 }, () => send(url, post(stream)));
    await open200.promise;
    for (let round = 0; round < 50; round += 1) {
      for (const { response } of upstream.arrivals) response.write(text);
      await pause(5);
    }
    for (const { response } of upstream.arrivals) response.end();
    for (const { body, broken } of await Promise.all(answers))
      expect([body.length, broken]).toEqual([51 * text.length, false]);
    expect(ended()).toBeUndefined();
  });

  it(
    "F32 an event loop that stands still for 5 s: streams go on, and nothing is timed out",
    { timeout: 30_000 },
    async () => {
      const upstream = await startUpstream();
      const { url, block } = await serve("node", upstream);
      upstream.answer(({ response }) => response.writeHead(200, eventStream).write("data: 1\n\n"));
      const incoming = await open(url, post(stream));
      await incoming.read();
      upstream.answer(({ response }) => void setTimeout(() => respond(response, 200, {}, "{}"), 1000));
      const asked = Array.from({ length: 20 }, () => send(url, post(run)));
      const over = block(5000);
      for (let beat = 2; beat <= 10; beat += 1) {
        await pause(500);
        upstream.arrivals[0]?.response.write(`data: ${beat}\n\n`);
      }
      await over;
      for (const answer of await Promise.all(asked)) expect([answer.status, answer.broken]).toEqual([200, false]);
      upstream.arrivals[0]?.response.end();
      const { body, broken } = await incoming.rest();
      expect([body.toString(), broken]).toEqual([
        [2, 3, 4, 5, 6, 7, 8, 9, 10].map((beat) => `data: ${beat}\n\n`).join(""),
        false,
      ]);
    },
  );

  // On web-standard hosts a call is a Request, a Response and what fetch makes of them.
  it.each([
    ["node", 64],
    ["web", 192],
  ])(
    "F35 1,000 waiting calls on %s cost less than %i KiB each, and all are answered",
    { timeout: 60_000 },
    async (name, most) => {
      const upstream = await startUpstream();
      const { url, grown } = await serve(name, upstream);
      upstream.answer(({ response, whole }) => void whole.then(() => respond(response, 200, {}, "{}")));
      await Promise.all(Array.from({ length: 50 }, () => send(url, post(run))));
      const waiting: Arrival[] = [];
      const all = Promise.withResolvers<void>();
      upstream.answer((arrival) => {
        if (waiting.push(arrival) === 1000) all.resolve();
      });
      await grown();
      const asked = Array.from({ length: 1000 }, () => send(url, post(run)));
      await all.promise;
      expect((await grown()) / 1000).toBeLessThan(most * 1024);
      for (const { response } of waiting) respond(response, 200, {}, "{}");
      const answers = await Promise.all(asked);
      expect(answers.filter(({ status, broken }) => status !== 200 || broken)).toEqual([]);
    },
  );

  it("F37 every processor is busy: no call fails", { timeout: 60_000 }, async () => {
    const busy = Array.from({ length: 4 }, () => spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }));
    const stop = (): void => busy.forEach((child) => void child.kill("SIGKILL"));
    onTestFinished(stop);
    const { upstream, ask } = await stage(node, { ownership: "app" });
    upstream.answer(({ response, whole }) => void whole.then(() => respond(response, 200, {}, "{}")));
    const times: number[] = [];
    for (let round = 0; round < 10; round += 1) {
      const answers = Array.from({ length: 20 }, async (_, at) => {
        const began = performance.now();
        const { status } = await (at % 2 === 0
          ? ask(run)
          : ask(`${queue}/${crypto.randomUUID()}/status`, { method: "GET" }));
        times.push(performance.now() - began);
        return status;
      });
      expect(await Promise.all(answers)).toEqual(answers.map(() => 200));
    }
    stop();
    const p99 = times.toSorted((one, other) => one - other)[Math.floor(times.length * 0.99)] ?? 0;
    process.stdout.write(`F37: 200 calls beside four busy processes, p99 ${p99.toFixed(0)} ms\n`);
  });
});
