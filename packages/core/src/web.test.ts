import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createKeyway } from "./keyway.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { CallEvent, ObserveEvent } from "./observe.ts";
import type { KeywayOptions } from "./options.ts";
import type { FetchContext } from "./web-door.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let url: string;
let answer: Answer;
let seen: { request: IncomingMessage; closed: Promise<void> }[] = [];
let events: ObserveEvent[] = [];
let logged = "";

beforeEach(async () => {
  seen = [];
  events = [];
  logged = "";
  for (const method of ["error", "warn"] as const)
    vi.spyOn(console, method).mockImplementation((line) => void (logged += `${line}\n`));
  server = createServer((request, response) => {
    const closed = new Promise<void>((resolve) => response.once("close", () => resolve()));
    seen.push({ request, closed });
    answer(request, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  vi.restoreAllMocks();
  server.closeAllConnections();
  server.close();
  await once(server, "close");
});

const run = "https://fal.run/fal-ai/flux/dev";
const submit = "https://queue.fal.run/fal-ai/flux/dev";
const status = "https://queue.fal.run/fal-ai/flux/requests/raw/status";
const priced = { "fal-ai/**": { price: { perCall: 0.25 } } };

function fetchFrom(
  target: string,
  init: RequestInit & { duplex?: "half" } = {},
  options: Partial<KeywayOptions> = {},
  context?: FetchContext,
): Promise<Response> {
  const keyway = createKeyway({
    authorize: () => ({ id: "ada" }),
    endpoints: "any",
    ownership: "app",
    upstream: { url, key: "emulator" },
    observe: (event) => events.push(event),
    ...options,
  });
  const headers = { "content-type": "application/json", "x-fal-target-url": target };
  const body = (init.method ?? "POST") === "POST" ? "{}" : null;
  return keyway.fetch(new Request("http://localhost/p", { method: "POST", headers, body, ...init }), context);
}

/** The one event with which a call ends. */
async function ended(): Promise<CallEvent> {
  await vi.waitFor(() => expect(events.some(({ type }) => type === "call")).toBe(true), { timeout: 5000, interval: 5 });
  await new Promise((resolve) => setTimeout(resolve, 20));
  const calls = events.filter((event) => event.type === "call");
  expect(calls).toHaveLength(1);
  return calls[0] as CallEvent;
}

async function codeOf(response: Response): Promise<unknown> {
  return ((await response.json()) as { code: unknown }).code;
}

/** Sends the pieces one by one, the next one after so many milliseconds; then ends, hangs or fails. */
function bodyOf(pieces: readonly string[], everyMs: number, end: "close" | "hang" | "error" = "close") {
  const left = [...pieces];
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const piece = left.shift();
      if (piece !== undefined) {
        await new Promise((resolve) => setTimeout(resolve, everyMs));
        controller.enqueue(new TextEncoder().encode(piece));
      } else if (end === "close") controller.close();
      else if (end === "error") controller.error(new Error("the caller's connection broke"));
      else await new Promise(() => undefined);
    },
  });
}

function streaming(body: ReadableStream<Uint8Array>): RequestInit & { duplex: "half" } {
  return { body, duplex: "half" };
}

/** The next piece that has bytes; undefined at the end. */
async function nextOf(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<string | undefined> {
  for (;;) {
    const piece = await reader?.read();
    if (piece === undefined || piece.done) return undefined;
    if (piece.value.length > 0) return new TextDecoder().decode(piece.value);
  }
}

describe("a call", () => {
  it("crosses byte for byte, with its status", async () => {
    answer = (request, response) => {
      response.writeHead(422, { "content-type": "application/json", "set-cookie": "a=1", "x-fal-request-id": "raw" });
      request.pipe(response);
    };
    const response = await fetchFrom(run, { body: '{"seed":9007199254740993, "é":1.0}' });
    expect(response.status).toBe(422);
    expect(await response.text()).toBe('{"seed":9007199254740993, "é":1.0}');
    expect(response.headers.get("set-cookie")).toBeNull();
    expect(response.headers.get("x-fal-request-id")).toBe("raw");
    expect(seen[0]?.request.headers).toMatchObject({ authorization: "Key emulator", "accept-encoding": "identity" });
    expect(await ended()).toMatchObject({
      outcome: "complete",
      status: 422,
      upstreamStatus: 422,
      bytesIn: 35,
      bytesOut: 35,
    });
  });
  it.each([204, 304])("without a body: %d", async (code) => {
    answer = (_request, response) => void response.writeHead(code).end();
    const response = await fetchFrom(status, { method: "GET", body: null });
    expect([response.status, await response.text()]).toEqual([code, ""]);
    expect(await ended()).toMatchObject({ outcome: "complete" });
  });
  it("HEAD", async () => {
    answer = (_request, response) => void response.writeHead(200, { "content-length": "7" }).end();
    const response = await fetchFrom(status, { method: "HEAD", body: null });
    expect([response.status, await response.text()]).toEqual([200, ""]);
    expect(await ended()).toMatchObject({ outcome: "complete" });
  });
  it("a redirect is passed, not followed", async () => {
    answer = (_request, response) => void response.writeHead(307, { location: "/elsewhere" }).end("moved");
    const response = await fetchFrom(run);
    expect([response.status, response.headers.get("location")]).toEqual([307, null]);
    await response.text();
    expect(seen).toHaveLength(1);
  });
  it("the first event is there before the second is sent", async () => {
    let more: (() => void) | undefined;
    answer = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
      more = () => response.end("data: 2\n\n");
    };
    const reader = (await fetchFrom(`${run}/stream`)).body?.getReader();
    expect(await nextOf(reader)).toBe("data: 1\n\n");
    more?.();
    expect(await nextOf(reader)).toBe("data: 2\n\n");
    expect(await nextOf(reader)).toBeUndefined();
  });
  it("upstream is not read ahead of the caller", async () => {
    let written = 0;
    answer = (_request, response) => {
      const chunk = Buffer.alloc(64 * 1024);
      const write = (): void => {
        while (written < 256 * 1024 * 1024 && !response.destroyed) {
          written += chunk.length;
          if (!response.write(chunk)) return void response.once("drain", write);
        }
      };
      write();
    };
    const response = await fetchFrom(run);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(written).toBeLessThan(32 * 1024 * 1024);
    await response.body?.cancel();
    expect(await ended()).toMatchObject({ outcome: "left" });
  });
});

describe("a request body", () => {
  const echo: Answer = (request, response) => {
    request.resume().on("end", () => response.end("all there"));
  };
  it("that grows too large breaks off: nothing has run", async () => {
    answer = echo;
    const response = await fetchFrom(run, streaming(bodyOf(["x".repeat(9), "x".repeat(9)], 1)), { maxBodyBytes: 10 });
    expect([response.status, await codeOf(response)]).toEqual([413, "body_too_large"]);
    expect(await ended()).toMatchObject({ outcome: "unsent", status: 413 });
  });
  it("that stops coming is refused", async () => {
    answer = echo;
    const response = await fetchFrom(run, streaming(bodyOf(["{"], 1, "hang")), { timeouts: { callerBody: 50 } });
    expect([response.status, await codeOf(response)]).toEqual([400, "body_timeout"]);
    expect(await ended()).toMatchObject({ outcome: "unsent" });
  });
  it("that breaks is refused", async () => {
    answer = echo;
    const response = await fetchFrom(run, streaming(bodyOf(["{"], 1, "error")));
    expect([response.status, await codeOf(response)]).toEqual([400, "body_incomplete"]);
    expect(await ended()).toMatchObject({ outcome: "unsent" });
  });
  it("that still comes when the answer has begun is no reason to wait for the answer", async () => {
    answer = (request, response) => {
      response.write("early");
      request.on("data", () => undefined).on("end", () => setTimeout(() => response.end(" and late"), 250));
    };
    const body = bodyOf(["{", ..."   ".split(""), "}"], 40);
    const response = await fetchFrom(run, streaming(body), { timeouts: { runHead: 100 } });
    expect(await response.text()).toBe("early and late");
    expect(await ended()).toMatchObject({ outcome: "complete", bytesIn: 5 });
  });
  it("that comes slowly has its time: upstream's starts when all is there", async () => {
    answer = (request, response) => {
      request.resume().on("end", () => response.end('{"request_id":"raw"}'));
    };
    const body = bodyOf(["{", ..."        ".split(""), "}"], 30);
    const response = await fetchFrom(submit, streaming(body), { timeouts: { head: 150 } });
    expect([response.status, await response.text()]).toEqual([200, '{"request_id":"raw"}']);
  });
  it.each(["run", "rule"])("that somebody has read is a clear error, not an empty body (%s)", async (how) => {
    answer = echo;
    const endpoints = { "*/**": how === "rule" ? { input: () => true } : {} };
    const keyway = createKeyway({ authorize: () => ({ id: "ada" }), endpoints, apiKey: "key-id:key-secret" });
    const headers = { "content-type": "application/json", "x-fal-target-url": run };
    for (const spoil of [(request: Request) => request.text(), async (request: Request) => request.body?.getReader()]) {
      const request = new Request("http://localhost/p", { method: "POST", headers, body: "{}" });
      await spoil(request);
      const response = await keyway.fetch(request);
      expect([response.status, await codeOf(response)]).toEqual([500, "body_consumed"]);
    }
    expect(logged).toContain("hand over the Request unread");
    expect(seen).toHaveLength(0);
  });
});

describe("when upstream fails", () => {
  it("cannot be reached: 502, and the money is back", async () => {
    const store = createMemoryStore();
    server.close();
    const response = await fetchFrom(run, {}, { store, endpoints: priced });
    expect([response.status, await codeOf(response)]).toEqual([502, "upstream_unreachable"]);
    expect(await ended()).toMatchObject({ outcome: "unsent" });
    await vi.waitFor(async () => expect(await spendingOf(store)).toEqual({ spent: 0, reserved: 0 }));
    server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  it("resets: 500 for what may have run, sent once", async () => {
    answer = (request) => request.socket.resetAndDestroy();
    const response = await fetchFrom(run);
    expect([response.status, await codeOf(response)]).toEqual([500, "upstream_unanswered"]);
    expect(seen).toHaveLength(1);
    expect(await ended()).toMatchObject({ outcome: "unanswered" });
  });
  it("is silent: 504 for what only reads", async () => {
    answer = () => undefined;
    const response = await fetchFrom(status, { method: "GET", body: null }, { timeouts: { head: 50 } });
    expect([response.status, await codeOf(response)]).toEqual([504, "upstream_timeout"]);
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "unanswered" });
  });
  it.each([
    ["breaks off", (response: ServerResponse) => setTimeout(() => response.destroy(), 20)],
    ["goes silent", () => undefined],
  ])("%s mid-body: a visible break", async (_name, fate) => {
    answer = (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).write("{");
      fate(response);
    };
    const response = await fetchFrom(run, {}, { timeouts: { streamIdle: 60 } });
    await expect(response.text()).rejects.toThrow();
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "cut" });
  });
  it.each([
    ["breaks off", (response: ServerResponse) => setTimeout(() => response.destroy(), 20)],
    ["goes silent", () => undefined],
    ["never ends", (response: ServerResponse) => response.write("x".repeat(2 * 1024 * 1024))],
  ])("%s in a submit answer: the job may exist, so the money stays", async (_name, fate) => {
    const store = createMemoryStore();
    answer = (_request, response) => {
      response.writeHead(200, { "content-type": "application/json" }).write('{"request_id":"ra');
      fate(response);
    };
    const response = await fetchFrom(submit, {}, { store, endpoints: priced, timeouts: { idle: 60 } });
    expect([response.status, await codeOf(response)]).toEqual([500, "upstream_unanswered"]);
    expect(await ended()).toMatchObject({ outcome: "unanswered" });
    expect(await spendingOf(store)).toEqual({ spent: 0, reserved: 0.25 });
  });
});

async function spendingOf(store: ReturnType<typeof createMemoryStore>): Promise<unknown> {
  const keyway = createKeyway({ authorize: () => null, endpoints: priced, apiKey: "key-id:key-secret", store });
  const { spent, reserved } = await keyway.usage("ada");
  return { spent, reserved };
}

describe("when the caller leaves", () => {
  it("before the answer: upstream is closed, and nothing is logged as a failure", async () => {
    const caller = new AbortController();
    answer = () => caller.abort();
    await fetchFrom(run, { signal: caller.signal });
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "left", status: undefined });
    expect(logged).toBe("");
  });
  it.each(["signal", "cancel"])("mid-answer (%s): upstream is closed", async (how) => {
    const caller = new AbortController();
    answer = (_request, response) => void response.writeHead(200).write("data: 1\n\n");
    const response = await fetchFrom(`${run}/stream`, { signal: caller.signal });
    const reader = response.body?.getReader();
    await nextOf(reader);
    const rest = reader?.read().catch(() => undefined);
    if (how === "signal") caller.abort();
    else await reader?.cancel();
    await rest;
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "left", status: 200 });
  });
  it("without ever reading: upstream is closed after the time for silence", async () => {
    answer = (_request, response) => void response.writeHead(200).write("data: 1\n\n");
    await fetchFrom(`${run}/stream`, {}, { timeouts: { streamIdle: 60 } });
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "cut" });
  });
  it("a submit goes on, and is known", async () => {
    const caller = new AbortController();
    const work: Promise<unknown>[] = [];
    answer = (_request, response) => {
      caller.abort();
      setTimeout(() => response.end('{"request_id":"raw"}'), 40);
    };
    const store = createMemoryStore();
    // As platforms have it: not to be called without what it belongs to.
    class Context {
      readonly #work = work;
      waitUntil(one: Promise<unknown>): void {
        this.#work.push(one);
      }
    }
    await fetchFrom(submit, { signal: caller.signal }, { store, endpoints: priced }, new Context());
    expect(work.length).toBeGreaterThan(0);
    expect(await ended()).toMatchObject({ outcome: "complete", upstreamStatus: 200 });
    expect(await spendingOf(store)).toEqual({ spent: 0, reserved: 0.25 });
  });
  it("a submit goes on for so long only", async () => {
    const caller = new AbortController();
    answer = () => caller.abort();
    await fetchFrom(submit, { signal: caller.signal }, { timeouts: { finish: 50 } });
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "left" });
  });
  it("a submit that is refused after he left gives the money back", async () => {
    const caller = new AbortController();
    const store = createMemoryStore();
    answer = (_request, response) => {
      caller.abort();
      setTimeout(() => response.writeHead(422).write("never ends"), 20);
    };
    await fetchFrom(submit, { signal: caller.signal }, { store, endpoints: priced });
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "left", upstreamStatus: 422 });
    await vi.waitFor(async () => expect(await spendingOf(store)).toMatchObject({ reserved: 0 }));
  });
  it("after everything: nothing happens", async () => {
    const caller = new AbortController();
    answer = (_request, response) => void response.end('{"request_id":"raw"}');
    const response = await fetchFrom(submit, { signal: caller.signal }, { endpoints: priced });
    await response.text();
    caller.abort();
    expect(await ended()).toMatchObject({ outcome: "complete" });
  });
});

it("a session that ends cuts its stream off, read or unread", async () => {
  for (const reads of [true, false]) {
    events = [];
    seen = [];
    let allowed = true;
    answer = (_request, response) => void response.writeHead(200).write("data: 1\n\n");
    const authorize = (): { id: string } | null => (allowed ? { id: "ada" } : null);
    const response = await fetchFrom(`${run}/stream`, {}, { authorize, reauthorize: 20 });
    allowed = false;
    if (reads) await expect(response.text()).rejects.toThrow();
    await seen[0]?.closed;
    expect(await ended()).toMatchObject({ outcome: "stopped" });
  }
});

it("path form keeps the mount and the query apart", async () => {
  answer = (request, response) => void response.end(request.url);
  const keyway = createKeyway({
    authorize: () => ({ id: "ada" }),
    endpoints: "any",
    upstream: { url, key: "emulator" },
    publicUrl: "https://app.example/p",
  });
  const request = new Request("http://localhost/p/fal.run/a/b?x=1&y=%20#z?fal_webhook=1", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(await (await keyway.fetch(request)).text()).toBe("/fal.run/a/b?x=1&y=%20");
});
