// The wire, byte by byte where it matters, against what fal's documents and clients say.
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createEmulator, reply, type Emulator, type EmulatorOptions } from "./index.ts";

let emulator: Emulator;
let url: string;

beforeEach(() => start({ timeScale: 0, seed: "wire", now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) }));
afterEach(() => emulator.close());

async function start(options: EmulatorOptions): Promise<void> {
  emulator = createEmulator(options);
  ({ url } = await emulator.listen());
}

async function restart(options: EmulatorOptions): Promise<void> {
  await emulator.close();
  await start(options);
}

interface CallOptions {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
}

function call(path: string, { method = "POST", body, headers = {} }: CallOptions = {}): Promise<Response> {
  const content = body === undefined ? {} : { body };
  return fetch(`${url}/${path}`, { method, headers: { authorization: "Key id:secret", ...headers }, ...content });
}

async function submit(app: string, body = "{}", query = ""): Promise<Record<string, string>> {
  return (await call(`queue.fal.run/${app}${query}`, { body })).json() as Promise<Record<string, string>>;
}

function get(path: string): Promise<Response> {
  return call(path, { method: "GET" });
}

/** Text with the job's id replaced, so that it can be written down. */
async function textOf(answer: Response, id: string): Promise<string> {
  return (await answer.text()).replaceAll(id, "<rid>");
}

describe("queue", () => {
  const urls =
    `"response_url":"https://queue.fal.run/demo/echo/requests/<rid>",` +
    `"status_url":"https://queue.fal.run/demo/echo/requests/<rid>/status",` +
    `"cancel_url":"https://queue.fal.run/demo/echo/requests/<rid>/cancel"`;

  test("submit answers 200 with the documented keys in order", async () => {
    const answer = await call("queue.fal.run/demo/echo/sub/path", { body: "{}" });
    const id = answer.headers.get("x-fal-request-id") ?? "";
    expect(answer.status).toBe(200);
    expect(await textOf(answer, id)).toBe(
      `{"status":"IN_QUEUE","request_id":"<rid>",${urls},"logs":null,"metrics":{},"queue_position":0}`,
    );
  });

  test("three states, byte by byte, with and without logs", async () => {
    await restart({ timeScale: 0, pace: "reads", now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 6) });
    emulator.app("demo/echo", (input, context) => {
      context.log("half");
      return input;
    });
    const { request_id: id = "" } = await submit("demo/echo", `{"a":1}`);
    const path = `queue.fal.run/demo/echo/requests/${id}`;
    const entry =
      `{"timestamp":"2026-01-02T03:04:05.006000","message":"half","level":"INFO","source":"USER",` +
      `"labels":{"level":"INFO","source":"USER"}}`;
    const early = await get(path);
    expect([early.status, await early.text()]).toEqual([400, `{"detail":"Request is still in progress"}`]);
    const first = await get(`${path}/status?logs=1`);
    expect([first.status, await textOf(first, id)]).toEqual([
      202,
      `{"status":"IN_QUEUE","request_id":"<rid>","queue_position":0,${urls}}`,
    ]);
    const second = await get(`${path}/status?logs=true`);
    expect([second.status, await textOf(second, id)]).toEqual([
      202,
      `{"status":"IN_PROGRESS","request_id":"<rid>",${urls},"logs":[],"metrics":{}}`,
    ]);
    const third = await get(`${path}/status/?logs=1`);
    expect([third.status, await textOf(third, id)]).toEqual([
      200,
      `{"status":"COMPLETED","request_id":"<rid>",${urls},"logs":[${entry}],"metrics":{"inference_time":0}}`,
    ]);
    for (const query of ["", "?logs=0", "?logs=false"]) {
      expect(await (await get(`${path}/status${query}`)).text()).toContain(`"logs":null`);
    }
    for (const form of [path, `${path}/`, `${path}/response`]) {
      const result = await get(form);
      expect([result.status, await result.text()]).toEqual([200, `{"a":1}`]);
      expect(result.headers.get("x-fal-request-id")).toBe(id);
    }
  });

  test("the status stream tells every change once, and ends after COMPLETED", async () => {
    await restart({ timeScale: 0, pace: "reads", now: () => 0 });
    const { request_id: id = "" } = await submit("demo/image", `{"prompt":"x"}`);
    const answer = await get(`queue.fal.run/demo/image/requests/${id}/status/stream?logs=1`);
    expect(answer.headers.get("content-type")).toMatch(/^text\/event-stream/);
    const text = await answer.text();
    expect(text).toMatch(/^(data: \{.*\}\n\n)+$/);
    const events = text
      .trim()
      .split("\n\n")
      .map((line) => JSON.parse(line.slice(6)) as { status: string; logs?: unknown[] });
    expect(events.map(({ status, logs }) => `${status} ${logs?.length ?? "-"}`)).toEqual([
      "IN_QUEUE -",
      "IN_PROGRESS 0",
      ...Array.from({ length: 5 }, () => "IN_PROGRESS 1"),
      "COMPLETED 0",
    ]);
  });

  test("a silent status stream gets pings", async () => {
    await restart({ pingMs: 5, queuedMs: 60_000 });
    const { request_id: id = "" } = await submit("demo/echo");
    const answer = await get(`queue.fal.run/demo/echo/requests/${id}/status/stream`);
    const reader = answer.body?.getReader();
    let text = "";
    while (!text.includes(": ping\n\n: ping\n\n")) text += Buffer.from((await reader?.read())?.value ?? []).toString();
    await reader?.cancel();
    expect(text).toMatch(/^data: /);
  });

  test("positions count the jobs ahead; fal_max_queue_length refuses more", async () => {
    await restart({ queuedMs: 60_000 });
    const positions = [];
    for (let turn = 0; turn < 3; turn += 1) positions.push((await submit("demo/echo"))["queue_position"]);
    expect(positions).toEqual([0, 1, 2]);
    expect((await call("queue.fal.run/demo/echo?fal_max_queue_length=3", { body: "{}" })).status).toBe(200);
    expect((await call("queue.fal.run/demo/echo?fal_max_queue_length=3", { body: "{}" })).status).toBe(429);
    expect((await call("queue.fal.run/demo/echo?fal_max_queue_length=x", { body: "{}" })).status).toBe(422);
  });

  test("jobs over the concurrency wait for room, in order", async () => {
    await restart({ timeScale: 0, concurrency: 1 });
    const begun: unknown[] = [];
    const gates: (() => void)[] = [];
    emulator.app("me/gate", async ({ name }: { name: string }, context) => {
      begun.push(name);
      await new Promise<void>((resolve) => gates.push(resolve));
      context.log("through");
    });
    const one = await submit("me/gate", `{"name":"one"}`);
    const two = await submit("me/gate", `{"name":"two"}`);
    await untilStatus("me/gate", one, "IN_PROGRESS");
    expect(await (await get(`queue.fal.run/me/gate/requests/${two["request_id"]}/status`)).json()).toMatchObject({
      status: "IN_QUEUE",
      queue_position: 0,
    });
    gates.shift()?.();
    await untilStatus("me/gate", two, "IN_PROGRESS");
    gates.shift()?.();
    await untilStatus("me/gate", two, "COMPLETED");
    expect(begun).toEqual(["one", "two"]);
  });

  test("a start deadline that passes is 504 of type user", async () => {
    await restart({ queuedMs: 60_000 });
    const headers = { "x-fal-request-timeout": "0.11" };
    const job = (await (await call("queue.fal.run/demo/echo", { headers })).json()) as Record<string, string>;
    await untilStatus("demo/echo", job, "COMPLETED");
    const status = await get(`queue.fal.run/demo/echo/requests/${job["request_id"]}/status`);
    expect(await status.json()).toMatchObject({
      error: "Request timed out",
      error_type: "request_timeout",
      metrics: {},
    });
    const result = await get(`queue.fal.run/demo/echo/requests/${job["request_id"]}`);
    expect(result.status).toBe(504);
    expect(result.headers.get("x-fal-request-timeout-type")).toBe("user");
    expect(result.headers.get("x-fal-error-type")).toBe("request_timeout");
  });

  test("cancel: a waiting job is removed, an unknown one is 404, a done one 400", async () => {
    await restart({ queuedMs: 60_000 });
    const { request_id: id = "" } = await submit("demo/echo");
    const path = `queue.fal.run/demo/echo/requests/${id}`;
    const cancelled = await call(`${path}/cancel`, { method: "PUT" });
    expect([cancelled.status, await cancelled.text()]).toEqual([202, `{"status":"CANCELLATION_REQUESTED"}`]);
    const again = await call(`${path}/cancel`, { method: "PUT" });
    expect([again.status, await again.text()]).toEqual([400, `{"status":"ALREADY_COMPLETED"}`]);
    expect((await get(path)).status).toBe(499);
    for (const [method, tail] of [
      ["PUT", "/cancel"],
      ["GET", "/status"],
      ["GET", ""],
      ["GET", "/status/stream"],
    ] as const) {
      const unknown = await call(`queue.fal.run/demo/echo/requests/nope${tail}`, { method });
      expect([unknown.status, await unknown.text()]).toEqual([404, `{"status":"NOT_FOUND"}`]);
      expect(unknown.headers.get("x-fal-request-id")).toBe("nope");
    }
    expect((await get(`queue.fal.run/demo/image/requests/${id}/status`)).status).toBe(404);
  });

  test("job URLs with the endpoint's path are lenient, or 405 when strict", async () => {
    const { request_id: id = "" } = await submit("demo/echo/sub");
    expect((await get(`queue.fal.run/demo/echo/sub/requests/${id}/status`)).status).toBeLessThan(300);
    await restart({ strict: { urls: true } });
    const strict = await submit("demo/echo/sub");
    expect((await get(`queue.fal.run/demo/echo/sub/requests/${strict["request_id"]}/status`)).status).toBe(405);
    expect((await get(`queue.fal.run/demo/echo/requests/${strict["request_id"]}/status`)).status).toBe(202);
  });

  test("namespaces stay in job URLs", async () => {
    emulator.app("workflows/me/wf", () => 1);
    const job = await submit("workflows/me/wf/sub");
    expect(job["response_url"]).toBe(`https://queue.fal.run/workflows/me/wf/requests/${job["request_id"]}`);
    await untilStatus("workflows/me/wf", job, "COMPLETED");
  });

  test("GET and HEAD on a submit URL are 405, HEAD on a status has no body", async () => {
    for (const method of ["GET", "HEAD", "PUT"]) {
      expect((await call("queue.fal.run/demo/echo", { method })).status).toBe(405);
    }
    const { request_id: id = "" } = await submit("demo/echo");
    const head = await call(`queue.fal.run/demo/echo/requests/${id}/status`, { method: "HEAD" });
    expect([head.status < 300, await head.text()]).toEqual([true, ""]);
    expect(Number(head.headers.get("content-length"))).toBeGreaterThan(10);
  });

  test("urls: own leads back to the emulator", async () => {
    await restart({ timeScale: 0, urls: "own" });
    const job = await submit("demo/echo");
    expect(job["status_url"]).toBe(`${url}/queue.fal.run/demo/echo/requests/${job["request_id"]}/status`);
  });

  async function untilStatus(app: string, job: Record<string, string>, wanted: string): Promise<void> {
    const answer = await get(`queue.fal.run/${app}/requests/${job["request_id"]}/status/stream`);
    for await (const chunk of answer.body ?? []) {
      if (Buffer.from(chunk).toString().includes(`"status":"${wanted}"`)) return;
    }
    throw new Error(`never ${wanted}`);
  }
});

describe("direct calls", () => {
  test.each([
    ["POST", "fal.run/demo/echo", `{"a":1}`, 200, `{"a":1}`],
    ["POST", "fal.run/demo/echo/", `[1]`, 200, `[1]`],
    ["POST", "fal.run/demo/echo", undefined, 200, `{}`],
    ["POST", "fal.run/nobody/nothing", `{}`, 404, `{"detail":"Application \\"nothing\\" not found"}`],
    ["HEAD", "fal.run/demo/echo", undefined, 405, ""],
    ["POST", "fal.run/one", `{}`, 404, `{"detail":"Not Found"}`],
  ])("%s %s", async (method, path, body, status, text) => {
    const answer = await call(path, { method, ...(body === undefined ? {} : { body }) });
    expect([answer.status, await answer.text()]).toEqual([status, text]);
    expect(answer.headers.get("x-fal-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("a body that is no JSON is the app framework's 422", async () => {
    const answer = await call("fal.run/demo/echo", { body: "{" });
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ detail: [{ type: "json_invalid", loc: ["body", 0] }] });
    expect(answer.headers.get("x-fal-billable-units")).toBe("0");
  });

  test("apps choose units, status, headers and body", async () => {
    emulator.app("me/all", (_input, context) => {
      context.setUnits(2.5);
      return reply({
        status: 201,
        headers: [
          ["x-a", "1"],
          ["x-a", "2"],
        ],
        body: Buffer.from([0, 255]),
      });
    });
    emulator.app("me/broken", () => {
      throw new Error("secret");
    });
    const answer = await call("fal.run/me/all", { body: "{}" });
    expect(answer.status).toBe(201);
    expect(answer.headers.get("x-a")).toBe("1, 2");
    expect(answer.headers.get("x-fal-billable-units")).toBe("2.5");
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(new Uint8Array([0, 255]));
    const broken = await call("fal.run/me/broken", { body: "{}" });
    expect([broken.status, await broken.text()]).toEqual([500, `{"detail":"Internal Server Error"}`]);
  });

  test("an app learns at once that its caller has left", async () => {
    const left = new Promise<void>((resolve) => {
      emulator.app("me/wait", async (_input, context) => {
        await new Promise<void>((stop) => context.signal.addEventListener("abort", () => stop()));
        resolve();
      });
    });
    const controller = new AbortController();
    const arrived = emulator.nextCall();
    const answer = fetch(`${url}/fal.run/me/wait`, {
      method: "POST",
      headers: { authorization: "Key a" },
      signal: controller.signal,
    }).catch(() => "aborted");
    const recorded = await arrived;
    controller.abort();
    expect(await answer).toBe("aborted");
    await left;
    expect(await recorded.ended).toBe("left");
  });

  test("direct calls over their number are 429", async () => {
    await restart({ directConcurrency: 0 });
    const answer = await call("fal.run/demo/echo", { body: "{}" });
    expect(answer.status).toBe(429);
    expect(answer.headers.get("x-fal-error-type")).toBe("concurrent_requests_limit");
    expect(answer.headers.get("x-fal-needs-retry")).toBe("1");
  });

  test("a stream sends each event before the next one is made", async () => {
    let release: () => void = () => undefined;
    emulator.app("me/steps", async (_input, context) => {
      await context.emit({ n: 1 });
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      await context.emit({ n: 2 });
    });
    const answer = await call("fal.run/me/steps/stream", { body: "{}" });
    const reader = answer.body?.getReader();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(`data: {"n":1}\n\n`);
    release();
    expect(Buffer.from((await reader?.read())?.value ?? []).toString()).toBe(`data: {"n":2}\n\n`);
    expect((await reader?.read())?.done).toBe(true);
  });

  test("a stream that fails before its first event has a status, later it breaks", async () => {
    expect((await call("fal.run/demo/fail/stream", { body: "{}" })).status).toBe(422);
    const answer = await call("fal.run/demo/fail/stream", { body: `{"events":2}` });
    expect(answer.status).toBe(200);
    await expect(answer.text()).rejects.toThrow();
    expect(await emulator.calls.at(-1)?.ended).toBe("broken");
  });

  test("a large body waits for its reader", async () => {
    let made = 0;
    const series = async function* (): AsyncGenerator<Uint8Array> {
      for (; made < 1000; made += 1) yield new Uint8Array(100_000);
    };
    emulator.app("me/large", () => reply({ body: series() }));
    const answer = await rawRequest("/me/large", "fal.run");
    answer.pause();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(made).toBeGreaterThan(0);
    expect(made).toBeLessThan(200);
    answer.destroy();
    expect(await emulator.calls.at(-1)?.ended).toBe("left");
  });
});

describe("who may call", () => {
  test.each([
    ["fal.run/demo/echo", {}, 401, /Cannot access application \\"demo\/echo\\"/],
    ["fal.run/demo/echo", { authorization: "Bearer x" }, 401, /No user found for Key ID and Secret/],
    ["rest.fal.ai/tokens/", {}, 401, /Authentication is required/],
    ["fal.run/demo/echo?fal_jwt_token=a.b.c", {}, 401, /Invalid token/],
    ["queue.fal.run/demo/echo?fal_jwt_token=a.b.c", {}, 401, /Cannot access/],
  ])("%s with %o", async (path, headers, status, text) => {
    const answer = await fetch(`${url}/${path}`, { method: "POST", headers });
    expect(answer.status).toBe(status);
    expect(await answer.text()).toMatch(text);
  });

  test("with a key stated, only this one", async () => {
    await restart({ key: "id:secret" });
    expect((await call("fal.run/demo/echo", { body: "{}" })).status).toBe(200);
    expect((await call("fal.run/demo/echo", { headers: { authorization: "Key other" } })).status).toBe(401);
  });

  test("tokens: a bare string, an object, scope and expiry", async () => {
    let time = 1_000_000;
    await restart({ now: () => time });
    const text = await (
      await call("rest.fal.ai/tokens/", { body: `{"allowed_apps":["echo"],"token_expiration":10}` })
    ).text();
    const token: unknown = JSON.parse(text);
    expect(typeof token).toBe("string");
    const ask = async (app: string, value: unknown): Promise<number> =>
      (await fetch(`${url}/fal.run/${app}/stream?fal_jwt_token=${String(value)}`, { method: "POST" })).status;
    expect(await ask("demo/echo", token)).toBe(200);
    expect(await ask("demo/image", token)).toBe(403);
    time += 10_000;
    expect(await ask("demo/echo", token)).toBe(401);
    const body = `{"allowed_apps":["demo/echo/stream"],"duration":120}`;
    const wrapped = (await (await call("rest.alpha.fal.ai/tokens/realtime", { body })).json()) as { token: string };
    expect(await ask("demo/echo", wrapped.token)).toBe(200);
    expect((await call("rest.fal.ai/tokens/", { body: "{}" })).status).toBe(422);
    await restart({ strict: { tokens: true } });
    const alias = await (await call("rest.fal.ai/tokens/", { body: `{"allowed_apps":["echo"]}` })).json();
    expect(await ask("demo/echo", alias)).toBe(403);
  });
});

describe("addresses", () => {
  test("by Host header and by path prefix alike", async () => {
    for (const [path, host] of [
      ["/demo/echo", "fal.run"],
      ["/demo/echo", "FAL.run:443"],
      ["/fal.run/demo/echo", "x"],
    ] as const) {
      const answer = await rawRequest(path, host);
      answer.resume();
      expect(answer.statusCode).toBe(200);
    }
    expect(emulator.calls.map(({ path }) => path)).toEqual(["/demo/echo", "/demo/echo", "/demo/echo"]);
    expect((await get("nowhere.example/x")).status).toBe(404);
  });

  test("unknown fal-ai apps have stand-ins, unless switched off", async () => {
    expect((await call("fal.run/fal-ai/whatever/v2", { body: `{"a":1}` })).status).toBe(200);
    await restart({ fallback: false });
    expect((await call("fal.run/fal-ai/whatever/v2", { body: `{"a":1}` })).status).toBe(404);
  });

  test("pages elsewhere may read files, streams and answers", async () => {
    const headers = { origin: "http://localhost:3000", "access-control-request-headers": "content-type" };
    const preflight = await fetch(`${url}/v3b.fal.media/files/b/x`, { method: "OPTIONS", headers });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-methods")).toContain("PUT");
    expect(preflight.headers.get("access-control-allow-headers")).toBe("content-type");
    const answer = await call("fal.run/demo/echo", { headers: { origin: "http://localhost:3000" } });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  });

  test("JWKS needs no key", async () => {
    const { keys } = (await (await fetch(`${url}/rest.fal.ai/.well-known/jwks.json`)).json()) as {
      keys: { x: string }[];
    };
    expect(Buffer.from(keys[0]?.x ?? "", "base64url")).toHaveLength(32);
  });
});

describe("uploads", () => {
  test("a signed URL takes one file, with the etag in header and body", async () => {
    const body = JSON.stringify({ content_type: "text/plain", file_name: "a b.txt" });
    const initiated = await call("rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3", { body });
    const { upload_url: to, file_url: from } = (await initiated.json()) as { upload_url: string; file_url: string };
    expect((await fetch(from, { method: "PUT", body: "x" })).status).toBe(403);
    expect((await fetch(from)).status).toBe(404);
    const put = await fetch(to, { method: "PUT", body: "hello", headers: { "content-type": "text/plain" } });
    expect(await put.json()).toEqual({ etag: put.headers.get("etag") });
    const back = await fetch(from);
    expect([back.status, back.headers.get("content-type"), await back.text()]).toEqual([200, "text/plain", "hello"]);
  });

  test("parts may come in any order, and must be the ones listed", async () => {
    const initiated = await call("rest.fal.ai/storage/upload/initiate-multipart", { body: "{}" });
    const { upload_url: to, file_url: from } = (await initiated.json()) as { upload_url: string; file_url: string };
    const under = (tail: string): string => to.replace("?", `${tail}?`);
    const parts = [];
    for (const [number, body] of [
      [2, "world"],
      [1, "hello "],
    ] as const) {
      parts.push(await (await fetch(under(`/${number}`), { method: "PUT", body })).json());
    }
    const wrong = JSON.stringify({ parts: [{ partNumber: 1, etag: "no" }] });
    expect((await fetch(under("/complete"), { method: "POST", body: wrong })).status).toBe(400);
    expect((await fetch(under("/complete"), { method: "POST", body: JSON.stringify({ parts }) })).status).toBe(200);
    expect(await (await fetch(from)).text()).toBe("hello world");
  });

  test("the Python client's way: a CDN token, then the file or its parts", async () => {
    const { token, base_url: base } = (await (
      await call("rest.fal.ai/storage/auth/token?storage_type=fal-cdn-v3", { body: "{}" })
    ).json()) as { token: string; base_url: string };
    const headers = { authorization: `Bearer ${token}`, "x-fal-file-name": "f.txt", "content-type": "text/plain" };
    const one = await fetch(`${base}/files/upload`, { method: "POST", headers, body: "one" });
    const { access_url: oneUrl } = (await one.json()) as { access_url: string };
    expect(await (await fetch(oneUrl)).text()).toBe("one");
    const begun = await fetch(`${base}/files/upload/multipart`, { method: "POST", headers });
    const { access_url: to, uploadId } = (await begun.json()) as { access_url: string; uploadId: string };
    const part = await fetch(`${to}/multipart/${uploadId}/1`, { method: "PUT", headers, body: "two" });
    const list = JSON.stringify({ parts: [{ partNumber: 1, etag: part.headers.get("etag") }] });
    expect((await fetch(`${to}/multipart/${uploadId}/complete`, { method: "POST", headers, body: list })).status).toBe(
      200,
    );
    expect(await (await fetch(to)).text()).toBe("two");
    expect((await fetch(`${base}/files/upload`, { method: "POST", body: "x" })).status).toBe(401);
  });
});

describe("determinism", () => {
  test("one seed and the same calls give the same bytes", async () => {
    const texts: string[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      await restart({ seed: "s", timeScale: 0, pace: "reads", now: () => 0, cdnUrl: "https://cdn.example" });
      const job = await submit("demo/image", `{"prompt":"x"}`);
      const path = `queue.fal.run/demo/image/requests/${job["request_id"]}`;
      const answers = [await get(`${path}/status/stream?logs=1`), await get(path), await call("fal.run/demo/fail")];
      const bodies = await Promise.all(answers.map((answer) => answer.text()));
      const heads = answers.map(({ headers }) => JSON.stringify([...headers]));
      texts.push(JSON.stringify([job, bodies, heads]));
    }
    expect(texts[0]).toBe(texts[1]);
  });

  test("reset forgets everything, and no id comes twice, as with fal", async () => {
    const first = await submit("demo/echo");
    emulator.reset();
    expect(emulator.calls).toEqual([]);
    const again = await submit("demo/echo");
    expect(Object.keys(again)).toEqual(Object.keys(first));
    expect(again["request_id"]).not.toBe(first["request_id"]);
    emulator.reset({ ids: true });
    expect(await submit("demo/echo")).toEqual(first);
  });
});

describe("records and bad input", () => {
  test("a call is recorded as sent, and shown without its secrets", async () => {
    await call("fal.run/demo/echo?a=1&fal_jwt_token=tok", { body: `{"a":1}`, headers: { "X-Mixed": "v" } });
    const [recorded] = emulator.calls;
    expect(recorded).toMatchObject({ kind: "run", endpoint: "demo/echo", bytes: 7, status: 200 });
    expect(Buffer.from(recorded?.body ?? []).toString()).toBe(`{"a":1}`);
    expect(recorded?.headers).toContainEqual(["authorization", "Key id:secret"]);
    const shown = await (await fetch(`${url}/__calls`)).text();
    expect(shown).toContain(`["authorization","Key (9 characters)"]`);
    expect(shown).not.toMatch(/id:secret|tok\b/);
    expect((await fetch(`${url}/__calls`, { method: "DELETE" })).status).toBe(204);
    expect(emulator.calls).toEqual([]);
  });

  test("what is not HTTP, or too much of it, kills nothing", async () => {
    await restart({ timeScale: 0, maxBodyBytes: 10 });
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(url).port), "127.0.0.1", () => socket.end("\0\0GARBAGE\r\n\r\n"));
      socket.on("error", () => undefined);
      socket.resume().once("close", () => resolve());
    });
    expect((await call("fal.run/demo/echo", { body: `{"a":"0123456789"}` })).status).toBe(413);
    expect((await call("fal.run/%ff/%2e%2e/x", { body: "{}" })).status).toBe(404);
    expect((await call("fal.run/demo/image", { body: `{"a":1}` })).status).toBe(422);
    expect((await call("fal.run/demo/echo", { body: "{}" })).status).toBe(200);
  });

  test("close ends what is running and may be called twice", async () => {
    emulator.app("me/never", () => new Promise(() => undefined));
    const arrived = emulator.nextCall();
    const pending = call("fal.run/me/never", { body: "{}" }).catch(() => "broken");
    await arrived;
    await emulator.close();
    expect(await pending).toBe("broken");
    await emulator.close();
  });

  test("options and names are checked when they are given", () => {
    expect(() => createEmulator({ timeScale: -1 })).toThrow(/timeScale/);
    expect(() => emulator.app("echo", () => 1)).toThrow(/owner\/alias/);
  });
});

function rawRequest(path: string, host: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { host, authorization: "Key a", "content-length": "0" };
    const { port } = new URL(url);
    httpRequest({ host: "127.0.0.1", port, path, method: "POST", headers }, resolve).on("error", reject).end();
  });
}
