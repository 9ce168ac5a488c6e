// The official client, unchanged, straight against the emulator. Its fetch is led to the path form.
import { createHash, randomBytes } from "node:crypto";
import { ApiError, createFalClient, ValidationError, type FalClient, type QueueStatus } from "@fal-ai/client";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createEmulator, type Emulator, type Fault } from "./index.ts";

let emulator: Emulator;
let url: string;
let fal: FalClient;
const OriginalWebSocket = globalThis.WebSocket;

beforeEach(async () => {
  emulator = createEmulator({ timeScale: 0, seed: "client" });
  ({ url } = await emulator.listen());
  const lead = (target: string | URL | Request): string => {
    const text = target instanceof Request ? target.url : String(target);
    return text.startsWith(url) ? text : text.replace("https://", `${url}/`);
  };
  fal = createFalClient({ credentials: "id:secret", fetch: (target, init) => fetch(lead(target), init) });
});

afterEach(async () => {
  globalThis.WebSocket = OriginalWebSocket;
  await emulator.close();
});

function answered(): string[] {
  return emulator.calls.map(({ method, path, status }) => `${method} ${path} ${status}`);
}

test("run gives the output and the request id", async () => {
  const result = await fal.run("demo/echo", { input: { prompt: "hi", n: [1, { a: null }] } });
  expect(result.data).toEqual({ prompt: "hi", n: [1, { a: null }] });
  expect(result.requestId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("run by GET takes its input from the query", async () => {
  const result = await fal.run("demo/echo", { method: "get", input: { a: "1", b: "z z" } });
  expect(result.data).toEqual({ a: "1", b: "z z" });
});

test("run of a picture leads to a PNG, and to the same one for the same prompt", async () => {
  const pictures = [];
  for (let turn = 0; turn < 2; turn += 1) {
    const { data } = await fal.run("fal-ai/flux/dev", { input: { prompt: "a lighthouse" } });
    const answer = await fetch(data.images[0]?.url ?? "");
    expect(answer.headers.get("content-type")).toBe("image/png");
    pictures.push(Buffer.from(await answer.arrayBuffer()));
  }
  expect(pictures[0]?.subarray(1, 4).toString()).toBe("PNG");
  expect(pictures[0]?.equals(pictures[1] ?? Buffer.alloc(0))).toBe(true);
});

test("subscribe by polling sees the states and the logs", async () => {
  emulator = await another({ pace: "reads", timeScale: 0 });
  const updates: QueueStatus[] = [];
  const result = await fal.subscribe("demo/image", {
    input: { prompt: "x" },
    logs: true,
    pollInterval: 1,
    onQueueUpdate: (update) => updates.push(update),
  });
  expect(updates.map(({ status }) => status)).toEqual(["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]);
  const last = updates.at(-1);
  expect(last?.status === "COMPLETED" && last.logs.map(({ message }) => message)).toContain("100% (4/4 steps)");
  expect(result.requestId).toBe(last?.request_id);
  expect(answered().map((line) => line.slice(-3))).toEqual(["200", "202", "202", "200", "200"]);
});

test("subscribe by streaming gets each log line once", async () => {
  emulator = await another({ pace: "reads", timeScale: 0 });
  let last: QueueStatus | undefined;
  await fal.subscribe("demo/image", {
    input: { prompt: "x" },
    mode: "streaming",
    logs: true,
    onQueueUpdate: (update) => {
      last = update;
    },
  });
  expect(last?.status === "COMPLETED" && last.logs.map(({ message }) => message.slice(0, 4))).toEqual([
    "Draw",
    "25% ",
    "50% ",
    "75% ",
    "100%",
  ]);
});

test("queue step by step: submit, status, result, cancel", async () => {
  const submitted = await fal.queue.submit("demo/echo/sub", { input: { a: 1 }, priority: "low", hint: "h" });
  const { request_id: requestId } = submitted;
  expect(Object.keys(submitted)).toEqual([
    "status",
    "request_id",
    "response_url",
    "status_url",
    "cancel_url",
    "logs",
    "metrics",
    "queue_position",
  ]);
  await fal.queue.subscribeToStatus("demo/echo", { requestId, pollInterval: 1 });
  expect((await fal.queue.status("demo/echo", { requestId })).status).toBe("COMPLETED");
  expect(await fal.queue.result("demo/echo/sub", { requestId })).toEqual({ data: { a: 1 }, requestId });
  const error = await fal.queue.cancel("demo/echo", { requestId }).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ status: 400, body: { status: "ALREADY_COMPLETED" } });
});

test("cancel stops a running job: 202, then 499", async () => {
  emulator = await another({ timeScale: 1, queuedMs: 0 });
  const { request_id: requestId } = await fal.queue.submit("demo/slow", { input: { seconds: 60 } });
  const status = await fal.queue.streamStatus("demo/slow", { requestId, logs: true });
  const seen: string[] = [];
  let cancelled = false;
  for await (const event of status) {
    seen.push(event.status);
    if (event.status === "IN_PROGRESS" && !cancelled) {
      cancelled = true;
      await fal.queue.cancel("demo/slow", { requestId });
    }
  }
  expect(seen.slice(-2)).toEqual(["IN_PROGRESS", "COMPLETED"]);
  const error = await fal.queue.result("demo/slow", { requestId }).catch((caught: unknown) => caught);
  expect(error).toMatchObject({ status: 499, requestId, body: { detail: "Request was cancelled" } });
});

test("a failed job ends as COMPLETED with an error, and its result as that error", async () => {
  const error = await fal.subscribe("demo/fail", { input: {}, pollInterval: 1 }).catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ValidationError);
  expect((error as ValidationError).fieldErrors[0]).toMatchObject({ loc: ["body", "prompt"], type: "value_error" });
  const { requestId } = error as ValidationError;
  expect(await fal.queue.status("demo/fail", { requestId })).toMatchObject({
    status: "COMPLETED",
    error: "Invalid status code: 422",
    error_type: "value_error",
  });
});

test("stream gives growing pictures, then the whole one", async () => {
  const stream = await fal.stream("demo/stream", { input: { prompt: "x" } });
  const sizes: number[] = [];
  for await (const event of stream) sizes.push((event as { images: { url: string }[] }).images[0]?.url.length ?? 0);
  expect(sizes).toHaveLength(5);
  expect(sizes.slice(0, 4)).toEqual(sizes.slice(0, 4).toSorted((one, other) => one - other));
  expect(await stream.done()).toMatchObject({ progress: 1, images: [{ url: expect.stringContaining(url) }] });
});

test("stream by token goes without a key", async () => {
  const stream = await fal.stream("demo/echo", { input: { a: 1 }, connectionMode: "client" });
  expect(await stream.done()).toEqual({ a: 1 });
  const direct = emulator.calls.at(-1);
  expect(direct?.url).toContain("fal_jwt_token=");
  expect(direct?.headers.map(([name]) => name.toLowerCase())).not.toContain("authorization");
});

test.each<[Fault, number]>([
  [{ status: 500 }, 1],
  [{ error: "concurrent_requests_limit", times: 2 }, 3],
  [{ error: "user_timeout" }, 1],
])("run meets %o with %i requests", async (fault, requests) => {
  emulator.faults.add({ match: { kind: "run" }, ...fault });
  const outcome = await fal.run("demo/echo", { input: {} }).catch((caught: unknown) => caught);
  expect(emulator.calls).toHaveLength(requests);
  if (requests > 1) expect(outcome).toMatchObject({ data: {} });
  else expect(outcome).toBeInstanceOf(ApiError);
  if (fault.error === "user_timeout") expect(outcome).toMatchObject({ isUserTimeout: true, status: 504 });
});

test.each([
  ["5 KB", 5000, ["POST /storage/upload/initiate 200", "PUT"]],
  ["91 MiB", 91 * 1024 * 1024, ["POST /storage/upload/initiate-multipart 200", "PUT", "POST"]],
])("upload of %s arrives whole", async (_name, size, expected) => {
  const bytes = size < 1e6 ? randomBytes(size) : Buffer.alloc(size, "keyway emulator ");
  const fileUrl = await fal.storage.upload(new File([bytes], "my file.bin", { type: "application/x-test" }));
  expect(fileUrl.startsWith(`${url}/v3b.fal.media/files/b/`)).toBe(true);
  expect(fileUrl).toMatch(/_my_file\.bin$/);
  const back = await fetch(fileUrl);
  expect(back.headers.get("content-type")).toBe("application/x-test");
  const digest = createHash("sha256")
    .update(Buffer.from(await back.arrayBuffer()))
    .digest("hex");
  expect(digest).toBe(createHash("sha256").update(bytes).digest("hex"));
  const puts = emulator.calls.filter(({ method }) => method === "PUT");
  expect(answered()[0]).toBe(expected[0]);
  expect(puts).toHaveLength(size < 1e6 ? 1 : 10);
  expect(puts.reduce((sum, call) => sum + call.bytes, 0)).toBe(size);
});

test("a Blob within an input is uploaded and becomes a URL", async () => {
  const { data } = await fal.run("demo/echo", { input: { image: new Blob(["hello"], { type: "text/plain" }) } });
  expect(await (await fetch((data as { image: string }).image)).text()).toBe("hello");
});

test("realtime by token: a picture comes back with the request's id, and a client close is no error", async () => {
  const target = url.replace("http", "ws");
  globalThis.WebSocket = class extends OriginalWebSocket {
    constructor(address: string | URL) {
      super(String(address).replace("wss://", `${target}/`));
    }
  };
  const errors: unknown[] = [];
  const result = new Promise((resolve) => {
    const connection = fal.realtime.connect("demo/realtime", {
      onResult: (value) => {
        connection.close();
        resolve(value);
      },
      onError: (error) => errors.push(error),
    });
    connection.send({ prompt: "x", request_id: "r1" });
  });
  expect(await result).toMatchObject({ request_id: "r1", prompt: "x", images: [{ content_type: "image/png" }] });
  expect(await emulator.calls.find(({ kind }) => kind === "realtime")?.ended).toBe("answered");
  expect(errors).toEqual([]);
});

/** Another emulator in place of the first, at the same client. */
async function another(options: Parameters<typeof createEmulator>[0]): Promise<Emulator> {
  const { port } = new URL(url);
  await emulator.close();
  const next = createEmulator(options);
  await next.listen({ port: Number(port) });
  return next;
}
