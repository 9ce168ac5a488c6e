/** fal's own JavaScript client through an example app. Its key, FAL_KEY of its environment, is the app's token. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { ApiError, createFalClient } from "@fal-ai/client";
import { realtimeUrl } from "@keyway/client";
import { WebSocket } from "ws";
import type { Outcome, Pattern } from "./table.ts";

const { KEYWAY_MOUNT: mount = "", KEYWAY_OUTCOMES: file = "" } = process.env;
const { KEYWAY_EMULATOR: upstream = "", KEYWAY_HOOKS: hooks = "" } = process.env;
const fal = createFalClient({ proxyUrl: { url: mount, when: "always" } });
const sealed = /^[0-9a-f-]{36}\.[\w-]{22}$/;

const patterns: Readonly<Record<Pattern, () => Promise<void>>> = {
  async run() {
    assert.deepEqual((await fal.run("demo/echo", { input: { prompt: "é😀" } })).data, { prompt: "é😀" });
  },
  async subscribe() {
    const states: string[] = [];
    const lines: string[] = [];
    const { data, requestId } = await fal.subscribe("demo/image", {
      input: { prompt: "a lighthouse" },
      logs: true,
      onQueueUpdate(update) {
        states.push(update.status);
        if (update.status !== "IN_QUEUE") lines.push(...update.logs.map(({ message }) => message));
      },
    });
    assert.equal(data.prompt, "a lighthouse");
    assert.match(requestId, sealed);
    assert.equal(states.at(-1), "COMPLETED");
    assert.ok(lines.includes("100% (4/4 steps)"));
  },
  async queue() {
    const { request_id: requestId } = await fal.queue.submit("demo/echo/fast", { input: { a: 1 } });
    assert.match(requestId, sealed);
    const stream = await fal.queue.streamStatus("demo/echo/fast", { requestId });
    assert.equal((await stream.done()).status, "COMPLETED");
    assert.equal((await fal.queue.status("demo/echo/fast", { requestId, logs: true })).status, "COMPLETED");
    assert.deepEqual(await fal.queue.result("demo/echo/fast", { requestId }), { data: { a: 1 }, requestId });
  },
  async cancel() {
    const { request_id: requestId } = await fal.queue.submit("demo/slow", { input: { seconds: 100_000 } });
    await fal.queue.cancel("demo/slow", { requestId });
    await assert.rejects(fal.queue.result("demo/slow", { requestId }), { status: 499 });
  },
  async stream() {
    const stream = await fal.stream("demo/hold", { input: { mark: mount } });
    const steps: unknown[] = [];
    for await (const event of stream) {
      steps.push(event);
      if (steps.length === 1) await fal.run("demo/release", { input: { mark: mount } });
    }
    assert.deepEqual(steps, [{ step: 1 }, { step: 2 }]);
  },
  async headers() {
    const mark = `headers ${mount}`;
    await fal.queue.submit("demo/echo", {
      input: { mark },
      priority: "low",
      hint: "warm",
      startTimeout: 30,
      headers: { "x-fal-no-retry": "1", "x-custom": "stays" },
    });
    const calls = (await (await fetch(`${upstream}/__calls`)).json()) as readonly {
      readonly body?: string;
      readonly headers: readonly (readonly [string, string])[];
    }[];
    const call = calls.find(({ body }) => body?.includes(mark));
    const { "x-fal-queue-priority": priority, ...crossed } = Object.fromEntries(call?.headers ?? []);
    assert.deepEqual(
      [priority, crossed["x-fal-runner-hint"], crossed["x-fal-request-timeout"], crossed["x-fal-no-retry"]],
      ["low", "warm", "30", "1"],
    );
    assert.equal(crossed["x-custom"], undefined);
    assert.equal(crossed["authorization"], "Key (8 characters)");
  },
  async errors() {
    await assert.rejects(fal.run("demo/fail", { input: { error: "validation" } }), { status: 422 });
    await assert.rejects(fal.run("other/app", { input: {} }), (error: unknown) => {
      assert.ok(error instanceof ApiError);
      assert.equal(error.status, 403);
      assert.match(error.message, /other\/app/);
      return true;
    });
  },
  async upload() {
    const url = await fal.storage.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
    assert.equal(await (await fetch(url)).text(), "hello");
  },
  async realtime() {
    const url = realtimeUrl("demo/realtime", { proxyUrl: mount });
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${process.env["FAL_KEY"]}` } });
    await once(socket, "open");
    for (const prompt of ["one", "two"]) {
      socket.send(JSON.stringify({ prompt, request_id: prompt }));
      const [data] = (await once(socket, "message")) as [Buffer];
      assert.equal(JSON.parse(data.toString()).request_id, prompt);
    }
    socket.close(1000);
    assert.equal((await once(socket, "close"))[0], 1000);
  },
  async webhook() {
    const webhookUrl = `${hooks}/javascript`;
    const { request_id: id } = await fal.queue.submit("demo/echo", { input: { a: 1 }, webhookUrl });
    const { request_id: told } = await fal.queue.submit("demo/echo", { input: { a: 2 } });
    const ours = mount.replace(/proxy$/, "webhook?keyway=");
    assert.deepEqual([(await delivered(webhookUrl, id)).status, (await delivered(ours, told)).status], [200, 200]);
    const elsewhere = { input: {}, webhookUrl: "https://another.example/" };
    await assert.rejects(fal.queue.submit("demo/echo", elsewhere), { status: 400 });
  },
};

interface Delivery {
  readonly url: string;
  readonly requestId: string;
  readonly status?: number;
}

/** The delivery of a job's result to an address that starts so. */
async function delivered(start: string, id: string): Promise<Delivery> {
  for (const until = Date.now() + 15_000; Date.now() < until; await setTimeout(50)) {
    const list = (await (await fetch(`${upstream}/__deliveries`)).json()) as readonly Delivery[];
    const found = list.find(({ url, requestId }) => url.startsWith(start) && id.startsWith(requestId));
    if (found !== undefined) return found;
  }
  throw new Error(`nothing was delivered to ${start}`);
}

const outcomes: Omit<Outcome, "app">[] = [];
for (const [pattern, hold] of Object.entries(patterns)) {
  const outcome = { pattern: pattern as Pattern, client: "javascript", title: pattern } as const;
  try {
    await hold();
    outcomes.push({ ...outcome, passed: true });
  } catch (error) {
    console.log(error);
    outcomes.push({ ...outcome, passed: false });
  }
}
writeFileSync(file, JSON.stringify(outcomes));
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
