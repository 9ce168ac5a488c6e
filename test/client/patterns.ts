import { ApiError, type FalClient, type QueueStatus } from "@fal-ai/client";
import { createEmulator, type Emulator } from "@keyway/emulator";

/** One way of using the client, as fal's documentation shows it; answers what the app's author would see. */
export type Pattern = (fal: FalClient) => Promise<unknown>;

/** An emulator that gives the same answers to the same calls: what moves a job on is being asked. */
export function createSteadyEmulator(): Emulator {
  const emulator = createEmulator({ seed: "steady", now: () => 1_790_000_000_000, timeScale: 0, pace: "reads" });
  emulator.app("workflows/me/wf", (input) => ({ workflow: input }));
  emulator.app("123/myapp", (input) => ({ legacy: input }));
  emulator.app("me/big", () => ({ seed: 1, list: Array.from({ length: 20_000 }, (_, index) => `item ${index}`) }));
  return emulator;
}

const image = { prompt: "a lighthouse", image_size: { width: 64, height: 64 } };

/** An error as the app's author sees it. */
export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return { unexpected: await promise };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { name, message, status, body, requestId, timeoutType, isUserTimeout } = error;
    return { name, message, status, body: body as unknown, requestId, timeoutType, isUserTimeout };
  }
}

/** A stream of the client, as far as it is looked at here. */
interface Events {
  readonly on: (type: "data", listener: (event: unknown) => void) => void;
  readonly done: () => Promise<unknown>;
  readonly requestId: string | null;
}

async function eventsOf(stream: Events): Promise<unknown> {
  const events: unknown[] = [];
  stream.on("data", (event) => events.push(event));
  const last = await stream.done();
  return { events, last, requestId: stream.requestId };
}

async function submitted(fal: FalClient, id: string, input: unknown): Promise<string> {
  return (await fal.queue.submit(id, { input: input as Record<string, unknown> })).request_id;
}

async function untilCompleted(fal: FalClient, id: string, requestId: string): Promise<QueueStatus[]> {
  const seen: QueueStatus[] = [];
  for (;;) {
    const status = await fal.queue.status(id, { requestId, logs: true });
    seen.push(status);
    if (status.status === "COMPLETED") return seen;
  }
}

export const patterns: Readonly<Record<string, Pattern>> = {
  run: (fal) => fal.run("demo/echo", { input: { prompt: "é😀", n: [1, { a: null }] } }),
  "run without an input": (fal) => fal.run("demo/echo", {}),
  "run by GET": (fal) => fal.run("demo/echo", { method: "get", input: { a: "1", b: "z z" } }),
  "run by URL": (fal) => fal.run("https://fal.run/demo/echo", { input: { a: 1 } }),
  "run of a legacy id": (fal) => fal.run("123-myapp", { input: { a: 1 } }),
  "run with its options": (fal) =>
    fal.run("demo/echo", { input: { a: 1 }, startTimeout: 30, storageSettings: { expiresIn: "1h" } }),
  "run of a picture": (fal) => fal.run("fal-ai/flux/dev", { input: image }),
  "run of a long answer": (fal) => fal.run("me/big", { input: {} }),
  "run with a file in the input": (fal) =>
    fal.run("demo/echo", { input: { image: new File(["bytes"], "a.txt", { type: "text/plain" }) } }),
  async upload(fal) {
    const url = await fal.storage.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
    return { path: new URL(url).pathname, text: await (await fetch(url)).text() };
  },
  async "subscribe by polling"(fal) {
    const updates: QueueStatus[] = [];
    let enqueued: string | undefined;
    const result = await fal.subscribe("demo/image", {
      input: image,
      logs: true,
      pollInterval: 1,
      onEnqueue: (requestId) => (enqueued = requestId),
      onQueueUpdate: (update) => updates.push(update),
    });
    return { result, updates, enqueued };
  },
  async "subscribe by streaming"(fal) {
    const updates: unknown[] = [];
    const result = await fal.subscribe("demo/image", {
      input: image,
      mode: "streaming",
      logs: true,
      onQueueUpdate: (update) => updates.push(structuredClone(update)),
    });
    return { result, updates };
  },
  async "submit with its options"(fal) {
    const options = { priority: "low", hint: "lora", startTimeout: 30, headers: { "x-fal-no-retry": "1" } } as const;
    return fal.queue.submit("demo/echo", { input: { a: 1 }, ...options });
  },
  async "submit, status, result"(fal) {
    const requestId = await submitted(fal, "demo/echo/fast", { a: 1 });
    const early = await errorOf(fal.queue.result("demo/echo/fast", { requestId }));
    const statuses = await untilCompleted(fal, "demo/echo/fast", requestId);
    return { requestId, early, statuses, result: await fal.queue.result("demo/echo/fast", { requestId }) };
  },
  async "a workflow"(fal) {
    const requestId = await submitted(fal, "workflows/me/wf/sub", { a: 1 });
    const statuses = await untilCompleted(fal, "workflows/me/wf/sub", requestId);
    return { statuses, result: await fal.queue.result("workflows/me/wf/sub", { requestId }) };
  },
  async "submit, cancel"(fal) {
    const requestId = await submitted(fal, "demo/slow", { seconds: 1000 });
    await fal.queue.cancel("demo/slow", { requestId });
    const [last] = await untilCompleted(fal, "demo/slow", requestId);
    const again = await errorOf(fal.queue.cancel("demo/slow", { requestId }));
    return { last, again, result: await errorOf(fal.queue.result("demo/slow", { requestId })) };
  },
  async streamStatus(fal) {
    const requestId = await submitted(fal, "demo/image", image);
    return eventsOf(await fal.queue.streamStatus("demo/image", { requestId, logs: true }));
  },
  async stream(fal) {
    return eventsOf(await fal.stream("demo/stream", { input: image }));
  },
  async "stream of another path"(fal) {
    return eventsOf(await fal.stream("demo/echo/stream", { input: { a: 1 }, queryParams: { b: "2" } }));
  },
  async "a stream that fails on its way"(fal) {
    const stream: Events = await fal.stream("demo/fail", { input: { events: 2, status: 500 } });
    const events: unknown[] = [];
    stream.on("data", (event) => events.push(event));
    return { events, error: await errorOf(stream.done()) };
  },
  "422 of a run": (fal) => errorOf(fal.run("demo/fail", { input: { error: "validation" } })),
  "500 of a run": (fal) => errorOf(fal.run("demo/fail", { input: { error: "runner_server_error" } })),
  "504 of the user's own timeout": (fal) => errorOf(fal.run("demo/fail", { input: { error: "user_timeout" } })),
  "403 of a locked account": (fal) => errorOf(fal.run("demo/fail", { input: { error: "locked" } })),
  "an empty 500": (fal) => errorOf(fal.run("demo/fail", { input: { error: "empty" } })),
  "404 of an unknown app": (fal) => errorOf(fal.run("demo/unknown", { input: {} })),
  async "422 of a job"(fal) {
    const requestId = await submitted(fal, "demo/fail", { type: "content_policy_violation" });
    const statuses = await untilCompleted(fal, "demo/fail", requestId);
    return { statuses, result: await errorOf(fal.queue.result("demo/fail", { requestId })) };
  },
  async "422 before a stream"(fal) {
    const stream = await fal.stream("demo/fail", { input: { error: "validation" } });
    return errorOf(stream.done());
  },
};
