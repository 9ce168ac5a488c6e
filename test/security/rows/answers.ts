import { createServer as createPlainServer } from "node:net";
import { createServer } from "node:https";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect } from "vitest";
import { type Certificate, type Script, always, listenOnFreePort, respond } from "../../upstream.ts";
import { raw } from "../hostile.ts";
import { createAuthority } from "../certificates.ts";
import type { Field } from "../ground.ts";
import { type Expected, type Play, type Row, type Sending, ask, falRequestId, job, toBytes, valuesOf } from "../row.ts";

const mib = 1024 * 1024;
const json = { "content-type": "application/json" };
const status: Sending = { method: "GET", target: `${job}/status` };
const submit = "https://queue.fal.run/demo/echo";

const passed = [
  200, 201, 202, 203, 206, 207, 226, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410,
  413, 415, 418, 421, 422, 425, 429, 431, 451, 499, 500, 501, 502, 503, 504, 507, 511, 520, 599,
];

/** Answer headers that never cross. */
const held: readonly (readonly [name: string, value: string | string[]])[] = [
  ["set-cookie", ["session=evil", "a=b"]],
  ["location", "https://evil.example/"],
  ["refresh", "0; url=https://evil.example/"],
  ["access-control-allow-origin", "*"],
  ["access-control-allow-credentials", "true"],
  ["strict-transport-security", "max-age=31536000"],
  ["clear-site-data", '"*"'],
  ["service-worker-allowed", "/"],
  ["x-fal-cdn-token", "secret"],
  ["www-authenticate", "Basic"],
  ["proxy-authenticate", "Basic"],
  ["etag", '"a"'],
  ["last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"],
  ["expires", "Thu, 01 Jan 2099 00:00:00 GMT"],
  ["age", "1"],
  ["link", "<https://evil.example/>; rel=preload"],
  ["alt-svc", 'h2="evil.example:443"'],
  ["server", "uvicorn"],
  ["via", "1.1 evil"],
  ["x-runtime", "0.1"],
  ["x-accel-redirect", "/etc/passwd"],
  ["x-sendfile", "/etc/passwd"],
  ["sourcemap", "https://evil.example/"],
  ["report-to", "{}"],
  ["x-middleware-rewrite", "https://evil.example/"],
  ["x-fal-internal", "1"],
];

/** Answer headers that cross as they are. */
const crossing: readonly (readonly [name: string, value: string])[] = [
  ["retry-after", "7"],
  ["x-fal-billable-units", "1.5"],
  ["x-fal-error-type", "runner_timeout"],
  ["content-language", "de"],
];

/** Set by us whatever upstream says. */
const ours: readonly (readonly [name: string, theirs: string, own: string])[] = [
  ["cache-control", "public, max-age=31536000", "no-store, private"],
  ["content-security-policy", "default-src *", "sandbox; default-src 'none'"],
  ["x-content-type-options", "none", "nosniff"],
  ["cross-origin-resource-policy", "cross-origin", "same-origin"],
];

const ok = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
const broken: Expected = { status: [200, "closed"], up: 1, got: { whole: false } };
const unanswered: Expected = { status: 500, code: "upstream_unanswered", up: 1 };

/** An answer that breaks off: the caller sees the break. */
const cut: readonly (readonly [what: string, bytes: string, then: "end" | "reset"])[] = [
  ["a length of 100 and 50 bytes", `${ok}content-length: 100\r\n\r\n${"a".repeat(50)}`, "end"],
  ["a length of 100 and a reset at 50", `${ok}content-length: 100\r\n\r\n${"a".repeat(50)}`, "reset"],
  ["one byte before the end", `${ok}content-length: 2\r\n\r\n{`, "end"],
  ["a head and nothing behind it", `${ok}content-length: 2\r\n\r\n`, "end"],
  ["chunks without the last", `${ok}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n`, "end"],
  ["chunks and a reset", `${ok}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n`, "reset"],
  ["half a chunk", `${ok}transfer-encoding: chunked\r\n\r\n10\r\n{`, "end"],
  ["a last chunk without its end", `${ok}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n`, "end"],
  ["garbage between chunks", `${ok}transfer-encoding: chunked\r\n\r\n2\r\n{}\r\nzz\r\nevil\r\n0\r\n\r\n`, "end"],
  ["a chunk longer than its size", `${ok}transfer-encoding: chunked\r\n\r\n2\r\n{}evil\r\n0\r\n\r\n`, "end"],
  [
    "chunks of a closing connection and a reset",
    `${ok}connection: close\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n`,
    "reset",
  ],
  [
    "a length of 100 of a closing connection and a reset",
    `${ok}connection: close\r\ncontent-length: 100\r\n\r\n${"a".repeat(50)}`,
    "reset",
  ],
];

/** Not an answer: a spending call must not look repeatable. */
const garbage: readonly (readonly [what: string, bytes: string, then?: "end" | "reset"])[] = [
  ["a close before a byte", ""],
  ["a reset before a byte", "", "reset"],
  ["half a head", "HTTP/1.1 200 OK\r\ncontent-"],
  ["half a head and a reset", "HTTP/1.1 200 OK\r\ncontent-", "reset"],
  ["a greeting of SSH", "SSH-2.0-OpenSSH_9.9\r\n"],
  ["HTTP/0.9", "<html>hello</html>"],
  ["a status that is no number", "HTTP/1.1 abc OK\r\ncontent-length: 0\r\n\r\n"],
  ["a status of 600", "HTTP/1.1 600 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"],
  ["a status of 99", "HTTP/1.1 099 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"],
  ["frames of HTTP/2", "\u0000\u0000\u0012\u0004\u0000\u0000\u0000\u0000\u0000\u0000\u0003"],
  ["two lengths", `${ok}content-length: 2\r\ncontent-length: 4\r\n\r\n{}{}`],
  ["a list of lengths", `${ok}content-length: 2, 4\r\n\r\n{}{}`],
  ["a length below zero", `${ok}content-length: -1\r\n\r\n{}`],
  ["a length beyond 2^64", `${ok}content-length: 18446744073709551618\r\n\r\n{}`],
  ["a length that is a word", `${ok}content-length: two\r\n\r\n{}`],
  ["an empty length", `${ok}content-length: \r\n\r\n{}`],
  ["a length and chunks", `${ok}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
  ["a header without a colon", `${ok}nonsense\r\ncontent-length: 2\r\n\r\n{}`],
  ["a space in a name", `${ok}set cookie: a\r\ncontent-length: 2\r\n\r\n{}`],
  ["a NUL in a header", `${ok}x-a: b\u0000c\r\ncontent-length: 2\r\n\r\n{}`],
  ["a header of 1 MiB", `${ok}x-a: ${"a".repeat(mib)}\r\ncontent-length: 2\r\n\r\n{}`],
  ["10,000 headers", `${ok}${"x-a: b\r\n".repeat(10_000)}content-length: 2\r\n\r\n{}`],
  ["a switch to WebSocket", "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"],
];

/** Odd, and yet one whole answer. */
const odd: readonly (readonly [what: string, bytes: string, body: string])[] = [
  ["an end that is the connection's", `${ok}\r\n{"a":1}`, '{"a":1}'],
  [
    "early hints before it",
    `HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n${ok}content-length: 2\r\nconnection: close\r\n\r\n{}`,
    "{}",
  ],
  [
    "processing before it",
    `HTTP/1.1 102 Processing\r\n\r\n${ok}content-length: 2\r\nconnection: close\r\n\r\n{}`,
    "{}",
  ],
  [
    "more bytes than its length",
    `${ok}content-length: 2\r\nconnection: close\r\n\r\n{}HTTP/1.1 200 OK\r\n\r\nevil`,
    "{}",
  ],
  ["a second answer that nobody asked for", `${ok}content-length: 2\r\n\r\n{}${ok}content-length: 4\r\n\r\nevil`, "{}"],
  [
    "a byte a chunk, with extensions and trailers",
    `${ok}transfer-encoding: chunked\r\nconnection: close\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nset-cookie: a=b\r\n\r\n`,
    "{}",
  ],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}", "{}"],
  [
    "a connection that names the content-type",
    `${ok}connection: close, content-type\r\ncontent-length: 2\r\n\r\n{}`,
    "{}",
  ],
];

const redirects = [301, 302, 303, 307, 308];

export const answerRows: readonly (Row | Play)[] = [
  ...passed.map((code) => ({
    what: `status ${code}`,
    upstream: always(code, { ...json, location: "https://evil.example/" }, '{"a":1.0}'),
    send: {},
    expect: { status: code, up: 1, got: { body: '{"a":1.0}', headers: { location: null } } },
  })),
  ...[204, 205, 304].map((code) => ({
    what: `status ${code}, which has no body`,
    upstream: always(code),
    send: {},
    expect: { status: code, up: 1, got: { body: "" } },
  })),
  ...held.map(([name, value]) => ({
    what: `${name} stays behind`,
    upstream: always(200, { ...json, [name]: value }, "{}"),
    send: {},
    expect: { status: 200, up: 1, got: { headers: { [name]: null }, body: "{}" } },
  })),
  ...crossing.map(([name, value]) => ({
    what: `${name} crosses`,
    upstream: always(429, { ...json, [name]: value }, "{}"),
    send: {},
    expect: { status: 429, up: 1, got: { headers: { [name]: value } } },
  })),
  ...ours.map(([name, theirs, own]) => ({
    what: `${name} is ours`,
    upstream: always(200, { ...json, [name]: theirs }, "{}"),
    send: {},
    expect: { status: 200, up: 1, got: { headers: { [name]: own } } },
  })),
  ...cut.map(([what, bytes, then]) => ({ what, upstream: raw(bytes, then), send: {}, expect: broken })),
  ...garbage.map(([what, bytes, then = "end"]) => ({ what, upstream: raw(bytes, then), send: {}, expect: unanswered })),
  ...odd.map(([what, bytes, body]) => ({
    what,
    upstream: raw(bytes, "end"),
    send: {},
    expect: { status: 200, up: 1, got: { body } },
  })),
  ...redirects.map((code) => ({
    what: `redirect ${code} in path form`,
    upstream: always(code, { location: "http://169.254.169.254/" }),
    send: { path: "{mount}/fal.run/demo/echo", target: null },
    expect: { status: 502, code: "upstream_redirect", up: 1, got: { headers: { location: null } } },
  })),
  {
    what: "redirect of a GET to another scheme",
    upstream: always(302, { location: "file:///etc/passwd" }),
    send: status,
    expect: { status: 302, up: 1, got: { headers: { location: null } } },
  },
  {
    what: "a reset before a byte of a GET is asked again, once",
    upstream: raw("", "reset"),
    send: status,
    expect: { status: 502, up: 2 },
  },
  {
    what: "garbage for a GET",
    upstream: raw("SSH-2.0-OpenSSH_9.9\r\n", "end"),
    send: status,
    expect: { status: 502, up: [1, 2] },
  },
  { what: "a redirected request of a GET", upstream: always(421), send: status, expect: { status: 421, up: [1, 2] } },
  {
    what: "a body read by a rule, misdirected, goes out once",
    options: { endpoints: { "demo/**": { input: () => true } } },
    upstream: always(421),
    send: {},
    expect: { status: 421, up: 1 },
  },
  {
    what: "HTML is nothing but bytes",
    upstream: always(200, { "content-type": "text/html" }, "<script>alert(1)</script>"),
    send: {},
    expect: {
      status: 200,
      up: 1,
      got: {
        body: "<script>alert(1)</script>",
        headers: {
          "content-type": "text/html",
          "content-security-policy": "sandbox; default-src 'none'",
          "x-content-type-options": "nosniff",
        },
      },
    },
  },
  {
    what: "an SVG is nothing but bytes",
    upstream: always(200, { "content-type": "image/svg+xml" }, "<svg onload='alert(1)'/>"),
    send: {},
    expect: { status: 200, up: 1, got: { headers: { "content-security-policy": "sandbox; default-src 'none'" } } },
  },
  {
    what: "bytes that are no text",
    upstream: always(200, { "content-type": "image/png" }, Buffer.from([0, 255, 254, 13, 10, 128])),
    send: {},
    expect: { status: 200, up: 1, got: { body: Buffer.from([0, 255, 254, 13, 10, 128]) } },
  },
  {
    what: "no content-type",
    upstream: always(200, {}, "{}"),
    send: {},
    expect: { status: 200, up: 1, got: { headers: { "content-type": null, "x-content-type-options": "nosniff" } } },
  },
  {
    what: "a body in answer to HEAD",
    upstream: raw(`${ok}content-length: 4\r\nconnection: close\r\n\r\nevil`, "end"),
    send: { method: "HEAD", target: job },
    expect: { status: [200, 502], up: [1, 2] },
  },
  {
    what: "a body behind 204",
    upstream: raw("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\nevil", "end"),
    send: {},
    expect: { status: 204, up: 1, got: { body: "" } },
  },
  {
    what: "a body behind 304",
    upstream: raw("HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\nconnection: close\r\n\r\nevil", "end"),
    send: {},
    expect: { status: 304, up: 1, got: { body: "" } },
  },
  {
    what: "a name in latin-1",
    upstream: raw(
      `${ok}content-disposition: attachment; filename="caf\u00e9.png"\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
    ),
    send: {},
    expect: { status: 200, up: 1, got: { body: "{}" } },
  },
  {
    what: "a status line of 1 MiB",
    upstream: raw(`HTTP/1.1 200 ${"a".repeat(mib)}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`),
    send: {},
    expect: { status: [200, 500], up: 1 },
  },
  {
    what: "a thousand early hints",
    upstream: raw(
      `${"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000)}${ok}content-length: 2\r\nconnection: close\r\n\r\n{}`,
      "end",
    ),
    send: {},
    expect: { status: [200, 500], up: 1 },
  },
  { what: "a submit without an id", upstream: always(200, json, "{}"), send: { target: submit }, expect: unanswered },
  {
    what: "a submit with an id that is none",
    upstream: always(200, json, '{"request_id":"../x"}'),
    send: { target: submit },
    expect: unanswered,
  },
  {
    what: "a submit that is not JSON",
    upstream: always(200, json, "<html>"),
    send: { target: submit },
    expect: unanswered,
  },
  {
    what: "a submit of 2 MiB",
    upstream: always(200, json, `{"request_id":"a","x":"${"a".repeat(2 * mib)}"}`),
    send: { target: submit },
    expect: unanswered,
  },
  {
    what: "a submit that breaks off",
    upstream: raw(`${ok}content-length: 100\r\n\r\n{"request_id":`, "end"),
    send: { target: submit },
    expect: unanswered,
  },
  {
    what: "a gzip bomb for a submit",
    upstream: always(200, { ...json, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(64 * mib))),
    send: { target: submit },
    expect: unanswered,
  },
  {
    what: "gzip that is none",
    upstream: always(200, { ...json, "content-encoding": "gzip" }, "not gzip"),
    send: {},
    expect: { status: [200, "closed"], up: 1 },
  },
  {
    what: "a coding that nobody knows",
    upstream: always(200, { ...json, "content-encoding": "aws-chunked" }, "{}"),
    send: {},
    expect: { status: 200, up: 1, got: { body: "{}" } },
  },
  {
    what: "codings in layers",
    upstream: always(200, { ...json, "content-encoding": "gzip, gzip, gzip, gzip, gzip, gzip" }, "{}"),
    send: {},
    expect: { status: [200, 500], up: 1 },
  },
  { what: "gzip", play: compressed },
  { what: "a gzip bomb", play: bomb },
  { what: "an unasked answer on a kept connection", play: unsolicited },
  {
    what: "silence instead of a head, GET",
    options: { timeouts: { head: 50 } },
    upstream: () => undefined,
    send: status,
    expect: { status: 504, code: "upstream_timeout", up: 1 },
  },
  {
    what: "silence instead of a head, POST",
    options: { timeouts: { runHead: 50 } },
    upstream: () => undefined,
    send: {},
    expect: unanswered,
  },
  {
    what: "silence in the body",
    options: { timeouts: { idle: 50 } },
    upstream: silentBody,
    send: { method: "GET", target: job },
    expect: { status: 200, up: 1, got: { whole: false } },
  },
  { what: "a reader who takes nothing", play: slowReader },
  { what: "the caller leaves before the head", play: (field) => leaving(field, () => undefined) },
  {
    what: "the caller leaves behind the head",
    play: (field) => leaving(field, ({ response }) => response.flushHeaders()),
  },
  { what: "the caller leaves in the body", play: (field) => leaving(field, silentBody) },
  {
    what: "the caller leaves while much is sent",
    play: (field) => leaving(field, ({ response }) => void response.end(Buffer.alloc(64 * mib))),
  },
  { what: "the caller leaves a submit, which is finished", play: leavingSubmit },
  { what: "a certificate of another authority", play: (field) => refusedTls(field, createAuthority().issue([alpha])) },
  {
    what: "a certificate for another name",
    play: (field) => refusedTls(field, field.ground.authority.issue(["evil.example"])),
  },
  {
    what: "a certificate for a suffix of the name",
    play: (field) => refusedTls(field, field.ground.authority.issue(["fal.ai", "*.fal.ai"])),
  },
  {
    what: "a certificate that has expired",
    play: (field) => refusedTls(field, field.ground.authority.issue([alpha], Date.now() - 60_000)),
  },
  {
    what: "TLS 1.1",
    play: (field) =>
      refusedTls(field, field.ground.authority.issue([alpha]), {
        minVersion: "TLSv1",
        maxVersion: "TLSv1.1",
        ciphers: "DEFAULT@SECLEVEL=0",
      }),
  },
  { what: "no TLS at all", play: refusedPlain },
  { what: "a port that is closed", play: refusedClosed },
];

/** A host of fal's that no other row calls, so that no connection to it is kept. */
const alpha = "rest.alpha.fal.ai";
const upload: Sending = { target: `https://${alpha}/storage/upload/initiate?storage_type=fal-cdn-v3` };

function silentBody({ response }: Parameters<Script>[0]): void {
  response.writeHead(200, { ...json, "content-length": "100" }).write("{");
}

async function compressed({ ground, ...field }: Field): Promise<void> {
  const body = Buffer.from('{"a":1.0}');
  ground.upstream.answer(always(200, { ...json, "content-encoding": "gzip" }, gzipSync(body)));
  const [reply] = await ask({ ground, ...field }, { lines: ["accept-encoding: gzip"] });
  expect(reply?.whole).toBe(true);
  const coded = reply !== undefined && valuesOf(reply, "content-encoding").includes("gzip");
  expect(coded ? gunzipSync(reply.body) : reply?.body).toEqual(body);
}

async function bomb(field: Field): Promise<void> {
  const { upstream } = field.ground;
  upstream.answer(always(200, { ...json, "content-encoding": "gzip" }, gzipSync(Buffer.alloc(256 * mib))));
  const before = process.memoryUsage().rss;
  const line = await field.line();
  line.write(toBytes({}, field));
  expect(await line.head()).toBe(200);
  await line.body(64 * 1024);
  line.leave();
  expect(process.memoryUsage().rss - before).toBeLessThan(64 * mib);
}

async function unsolicited(field: Field): Promise<void> {
  const { upstream } = field.ground;
  upstream.answer(({ response, socket }) => {
    respond(response, 200, json, "{}");
    response.once("finish", () => socket.write(`${ok}content-length: 4\r\n\r\nevil`));
  });
  expect((await ask(field, {}))[0]?.body.toString()).toBe("{}");
  upstream.answer(always(200, json, '{"own":1}'));
  const replies = [];
  for (let index = 0; index < 5; index += 1) replies.push(...(await ask(field, {})));
  for (const { status: code, body } of replies) expect([code, body.toString()]).toEqual([200, '{"own":1}']);
}

/** The reader's pace is upstream's pace; and in the end nothing is missing. */
async function slowReader(field: Field): Promise<void> {
  const total = 48 * mib;
  const block = Buffer.alloc(64 * 1024, "a");
  let sent = 0;
  field.ground.upstream.answer(({ response }) => {
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": String(total) });
    const write = (): void => {
      while (sent < total) {
        sent += block.length;
        if (!response.write(block)) return void response.once("drain", write);
      }
      response.end();
    };
    write();
  });
  const line = await field.line();
  line.write(toBytes({}, field));
  await line.head();
  line.socket.pause();
  for (let last = -1; last !== sent;) {
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  expect(sent).toBeLessThan(24 * mib);
  line.socket.resume();
  const reply = await line.reply();
  expect(reply?.whole).toBe(true);
  expect(reply?.body.length).toBe(total);
}

async function leaving(field: Field, script: Script): Promise<void> {
  const { upstream } = field.ground;
  upstream.answer(script);
  const at = upstream.arrivals.length;
  const line = await field.line();
  line.write(toBytes({}, field));
  await until(() => upstream.arrivals.length > at);
  await new Promise((resolve) => setTimeout(resolve, 20));
  line.leave();
  await soon(upstream.arrivals[at]?.closed);
}

async function leavingSubmit(field: Field): Promise<void> {
  const { upstream } = field.ground;
  let go = (): void => undefined;
  upstream.answer(({ response }) => {
    go = () => respond(response, 200, json, JSON.stringify({ request_id: falRequestId }));
  });
  const at = upstream.arrivals.length;
  const events = field.events.length;
  const line = await field.line();
  line.write(toBytes({ target: submit }, field));
  await until(() => upstream.arrivals.length > at);
  line.leave();
  await line.closed;
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(upstream.arrivals[at]?.socket.destroyed).toBe(false);
  go();
  await until(() => field.events.slice(events).some(({ type }) => type === "call"));
  expect(field.events.slice(events).at(-1)).toMatchObject({ type: "call", upstreamStatus: 200 });
}

/** Not a byte of the request is sent, so it may be repeated. */
async function refusedTls(field: Field, certificate: Certificate, how: object = {}): Promise<void> {
  let requests = 0;
  const server = createServer({ ...certificate, ...how }, (_request, response) => {
    requests += 1;
    response.end("{}");
  });
  server.on("tlsClientError", () => undefined);
  await refusedBy(field, await listenOnFreePort(server));
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  expect(requests).toBe(0);
}

async function refusedPlain(field: Field): Promise<void> {
  const received: Buffer[] = [];
  const server = createPlainServer((socket) => {
    socket.on("error", () => undefined).on("data", (bytes) => received.push(bytes));
    socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
  });
  await refusedBy(field, await listenOnFreePort(server), [500, 502]);
  await new Promise((resolve) => server.close(resolve));
  expect(field.ground.watch.count(Buffer.concat(received).toString("latin1"))).toBe(0);
}

async function refusedClosed(field: Field): Promise<void> {
  await refusedBy(field, 1);
}

async function refusedBy({ ground, ...field }: Field, port: number, statuses = [502]): Promise<void> {
  ground.hosts.lead(alpha, port);
  const [reply] = await ask({ ground, ...field }, upload);
  expect(statuses, ground.log.at(-1)).toContain(reply?.status);
}

async function until(test: () => boolean): Promise<void> {
  for (let tries = 0; !test() && tries < 400; tries += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(test()).toBe(true);
}

async function soon(event: Promise<void> | undefined): Promise<void> {
  const late = new Promise((_resolve, reject) =>
    setTimeout(reject, 2000, new Error("upstream went on for 2 s")).unref(),
  );
  await Promise.race([event, late]);
}
