import { once } from "node:events";
import { ApiError, ValidationError, type FalClient, createFalClient } from "@fal-ai/client";
import { createEmulator, type Emulator } from "@keyway/emulator";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { connectByHeader } from "./connect.ts";
import { errorOf } from "./patterns.ts";
import type { Mount, Mounted } from "../conformance/mount.ts";
import { byName } from "../conformance/stage.ts";

const sealed = /^[0-9a-f-]{36}\.[A-Za-z0-9_-]{22}$/;
const uuid = /^[0-9a-f-]{36}$/;

async function mountBefore(emulator: Emulator, mount: Mount): Promise<Mounted> {
  const { url } = await emulator.listen();
  const endpoints = ["demo/**", "fal-ai/**"];
  return mount.startMount({ authorize: byName, endpoints, upstream: { url, key: "emulator" } });
}

/** The official client on its default settings, waits and repeats included, through each of these mounts. */
export function callThrough(mounts: readonly Mount[]): void {
  describe.each(mounts.map((mount) => [mount.name, mount] as const))("@fal-ai/client through %s", (_name, mount) => {
    let emulator: Emulator;
    let mounted: Mounted;
    const client = () => connectByHeader(mounted);

    beforeAll(async () => {
      emulator = createEmulator({ timeScale: 0, queuedMs: 0 });
      emulator.app("demo/hang", async (_input, context) => {
        await context.emit({ first: true });
        await once(context.signal, "abort");
        context.signal.throwIfAborted();
      });
      mounted = await mountBefore(emulator, mount);
    });
    afterAll(async () => {
      await mounted.close();
      await emulator.close();
    });

    it.concurrent("run", async () => {
      const { data, requestId } = await client().run("demo/echo", { input: { prompt: "é😀" } });
      expect(data).toEqual({ prompt: "é😀" });
      expect(requestId).toMatch(uuid);
    });

    it.concurrent("run of a picture", async () => {
      const { data } = await client().run("fal-ai/flux/dev", { input: { prompt: "a lighthouse" } });
      const answer = await fetch(data.images[0]?.url ?? "");
      expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "image/png"]);
    });

    it.concurrent("subscribe by polling", async () => {
      const states: string[] = [];
      const lines: string[] = [];
      const result = await client().subscribe("demo/image", {
        input: { prompt: "a lighthouse" },
        logs: true,
        onQueueUpdate(update) {
          states.push(update.status);
          if (update.status !== "IN_QUEUE") lines.push(...update.logs.map(({ message }) => message));
        },
      });
      expect(states.at(-1)).toBe("COMPLETED");
      expect(lines).toContain("100% (4/4 steps)");
      expect(result.data).toMatchObject({ prompt: "a lighthouse" });
      expect(result.requestId).toMatch(sealed);
    });

    it.concurrent("subscribe by streaming", async () => {
      const states: string[] = [];
      const result = await client().subscribe("demo/image", {
        input: { prompt: "a lighthouse" },
        mode: "streaming",
        onQueueUpdate: ({ status, request_id }) => states.push(`${status} ${sealed.test(request_id)}`),
      });
      expect(states.at(-1)).toBe("COMPLETED true");
      expect(result.requestId).toMatch(sealed);
    });

    it.concurrent("queue: submit, status, streamStatus, result", async () => {
      const fal = client();
      const {
        request_id: requestId,
        status_url,
        response_url,
      } = await fal.queue.submit("demo/echo/fast", { input: { a: 1 } });
      expect(requestId).toMatch(sealed);
      expect(response_url).toBe(`https://queue.fal.run/demo/echo/requests/${requestId}`);
      expect(status_url).toBe(`${response_url}/status`);
      const stream = await fal.queue.streamStatus("demo/echo/fast", { requestId });
      expect(await stream.done()).toMatchObject({ status: "COMPLETED", request_id: requestId });
      expect(await fal.queue.status("demo/echo/fast", { requestId })).toMatchObject({
        status: "COMPLETED",
        request_id: requestId,
      });
      expect(await fal.queue.result("demo/echo/fast", { requestId })).toEqual({ data: { a: 1 }, requestId });
    });

    it.concurrent("queue: cancel", async () => {
      const fal = client();
      const { request_id: requestId } = await fal.queue.submit("demo/hang", { input: {} });
      await fal.queue.cancel("demo/hang", { requestId });
      const result = await errorOf(fal.queue.result("demo/hang", { requestId }));
      expect(result).toMatchObject({ status: 499, requestId });
    });

    it.concurrent("stream", async () => {
      const stream = await client().stream("demo/stream", { input: { prompt: "a lighthouse" } });
      const progress: unknown[] = [];
      for await (const event of stream) progress.push((event as { progress: unknown }).progress);
      expect(progress).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
      expect(await stream.done()).toMatchObject({ progress: 1 });
      expect(stream.requestId).toMatch(uuid);
    });

    it.concurrent("uploads: a file, and a Blob in the input", async () => {
      const url = await client().storage.upload(new File(["hello"], "hello.txt", { type: "text/plain" }));
      expect(await (await fetch(url)).text()).toBe("hello");
      const { data } = await client().run("demo/echo", { input: { file: new Blob(["bytes"]) } });
      expect(await (await fetch((data as { file: string }).file)).text()).toBe("bytes");
    });

    it.concurrent.each([
      ["validation", 422, { detail: [expect.objectContaining({ loc: ["body", "prompt"], type: "missing" })] }],
      ["runner_server_error", 500, { detail: "Internal Server Error", error_type: "runner_server_error" }],
      ["user_timeout", 504, { detail: "Request timed out", error_type: "request_timeout" }],
      ["locked", 403, { detail: expect.stringContaining("Exhausted balance") }],
    ] as const)("error %s is %i, asked once, with body and headers", async (name, status, body) => {
      const { thrown, requests } = await fail(client(), emulator, name);
      expect([thrown.status, thrown.body, requests]).toEqual([status, body, 1]);
      expect(thrown.requestId).toMatch(uuid);
      expect(thrown.isUserTimeout).toBe(name === "user_timeout");
      expect(thrown instanceof ValidationError).toBe(status === 422);
    });

    it.concurrent("a refusal of ours is asked once, and says why", async () => {
      const { status, message, body } = (await errorOf(client().run("other/app", { input: {} }))) as ApiError<unknown>;
      expect([status, body]).toEqual([403, expect.objectContaining({ code: "endpoint_refused" })]);
      expect(message).toContain("other/app");
    });

    it.concurrent("aborting a run reaches fal", async () => {
      const abort = new AbortController();
      const arriving = emulator.nextCall(({ kind, endpoint }) => kind === "run" && endpoint === "demo/hang");
      const running = client().run("demo/hang", { input: {}, abortSignal: abort.signal });
      const call = await arriving;
      abort.abort();
      await expect(running).rejects.toThrow(/abort/i);
      expect(await call.ended).toBe("left");
    });

    it.concurrent("aborting a stream reaches fal", async () => {
      const arriving = emulator.nextCall(({ kind, endpoint }) => kind === "stream" && endpoint.startsWith("demo/hang"));
      const stream = await client().stream("demo/hang", { input: {} });
      await new Promise((resolve) => stream.on("data", resolve));
      stream.abort();
      expect(await (await arriving).ended).toBe("left");
    });

    it.concurrent("a client with credentials of its own sends them to us, and they stay here", async () => {
      const arriving = emulator.nextCall(({ endpoint }) => endpoint === "demo/echo/credentials");
      const fal = createFalClient({ proxyUrl: { url: mounted.url, when: "always" }, credentials: "page:session" });
      await fal.run("demo/echo/credentials", { input: {} });
      const { headers } = await arriving;
      expect(headers.filter(([name]) => name.toLowerCase() === "authorization").map(([, value]) => value)).toEqual([
        "Key emulator",
      ]);
      expect(JSON.stringify(headers)).not.toContain("page:session");
    });

    it.concurrent("another caller's job is not there, and fal is not asked", async () => {
      const { request_id: requestId } = await client().queue.submit("demo/echo", { input: {} });
      const before = emulator.calls.length;
      const bob = createFalClient({
        proxyUrl: { url: mounted.url, when: "always" },
        requestMiddleware: async (request) => ({
          ...request,
          headers: { ...request.headers, authorization: "Bearer bob" },
        }),
      });
      expect(await errorOf(bob.queue.status("demo/echo", { requestId }))).toMatchObject({ status: 404 });
      const asked = emulator.calls.slice(before).filter(({ url }) => url.includes(requestId.slice(0, 36)));
      expect(asked).toEqual([]);
    });
  });

  it("errors that the client repeats reach it after four requests, through every mount", async () => {
    const cases = [
      ["concurrent_requests_limit", 429],
      ["runner_disconnected", 503],
      ["runner_incomplete_response", 502],
    ] as const;
    const emulators = mounts.map(() => createEmulator({ timeScale: 0 }));
    const mounted = await Promise.all(mounts.map((mount, index) => mountBefore(emulators[index] as Emulator, mount)));
    onTestFinished(async () => {
      await Promise.all(mounted.map((one) => one.close()));
      await Promise.all(emulators.map((one) => one.close()));
    });
    const asked = mounted.flatMap((one, index) =>
      cases.map(async ([name, status]) => {
        const { thrown, requests } = await fail(connectByHeader(one), emulators[index] as Emulator, name);
        const seen = [mounts[index]?.name, thrown.status, thrown.body, requests];
        expect(seen).toEqual([mounts[index]?.name, status, expect.objectContaining({ error_type: name }), 4]);
        expect(thrown.requestId).toMatch(uuid);
      }),
    );
    await Promise.all(asked);
  });
}

/** Lets a run fail by name; answers the error and how often fal was asked. */
async function fail(
  fal: FalClient,
  { calls }: Emulator,
  error: string,
): Promise<{ thrown: ApiError<unknown>; requests: number }> {
  const thrown: unknown = await fal.run("demo/fail", { input: { error } }).catch((cause: unknown) => cause);
  if (!(thrown instanceof ApiError)) throw thrown;
  const sent = calls.filter(({ body }) => Buffer.from(body).toString() === JSON.stringify({ error }));
  return { thrown, requests: sent.length };
}
