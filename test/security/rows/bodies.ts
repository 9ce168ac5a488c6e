import { gzipSync } from "node:zlib";
import { expect } from "vitest";
import { raw } from "../hostile.ts";
import type { Field } from "../ground.ts";
import { type Play, type Row, ask, run, toBytes } from "../row.ts";

const mib = 1024 * 1024;

/** Forwarded byte for byte: nobody parses what nobody must see. */
const exact: readonly (readonly [what: string, body: string | Buffer])[] = [
  ["big integers and 1.0", '{"seed":12345678901234567890,"scale":1.0,"tiny":1e-400}'],
  ["duplicate keys", '{"a":1,"a":2}'],
  ["escapes and white space", '{ "\\u0061" : "\\/\\ud83d\\ude00" ,\r\n\t"b":[ ] }'],
  ["nesting of 10,000", "[".repeat(10_000) + "]".repeat(10_000)],
  ["keys of a prototype", '{"__proto__":{"admin":true},"constructor":{"prototype":{}}}'],
  ["invalid UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])],
  ["a byte order mark", "\ufeff{}"],
  ["NULs", Buffer.alloc(1000)],
  ["not JSON at all", "hello"],
  ["a lone surrogate", '"\\ud800"'],
  ["an empty body", ""],
  ["one byte", "1"],
  ["64 KiB", Buffer.alloc(65_536, "a")],
  ["64 KiB and one", Buffer.alloc(65_537, "a")],
  ["1 MiB", Buffer.alloc(mib, "b")],
  ["line breaks like a message's", "POST / HTTP/1.1\r\nhost: evil.example\r\ncontent-length: 0\r\n\r\n"],
];

const refusedTypes: readonly string[] = [
  "text/plain",
  "text/plain; application/json",
  "TEXT/PLAIN",
  "text/plain\t;charset=utf-8",
  "application/x-www-form-urlencoded",
  "multipart/form-data; boundary=x",
  "application/octet-stream",
  "application/jsonx",
  "application/json, text/plain",
  "application/json/x",
  "*/*",
  "",
];

const takenTypes: readonly string[] = [
  "application/json",
  "Application/JSON",
  "application/json; charset=utf-8",
  "application/json ;x=y",
];

/** Rules read the body, so it must be JSON, and what goes upstream is what they saw. */
const ruled = { "demo/**": { input: (input: unknown) => input as object } };
const throughRule: readonly (readonly [what: string, body: string, sent: string])[] = [
  ["big integers", '{"seed":12345678901234567890,"scale":1.0}', '{"seed":12345678901234567890,"scale":1.0}'],
  ["duplicate keys: one reading", '{"a":1,"a":2}', '{"a":2}'],
  ["keys of a prototype", '{"__proto__":{"a":1}}', '{"__proto__":{"a":1}}'],
];
const stoppedByRule: readonly (readonly [what: string, body: string | Buffer])[] = [
  ["invalid UTF-8", Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
  ["not JSON", "{a:1}"],
  ["two values", "{}{}"],
  ["nothing", ""],
  ["a byte order mark", "\ufeff{}"],
];

export const bodyRows: readonly (Row | Play)[] = [
  ...exact.map(([what, body]) => ({ what, send: { body }, expect: { status: 200, up: 1, saw: { body } } })),
  ...refusedTypes.map((type) => ({
    what: `content-type ${type === "" ? "empty" : type}`,
    send: { without: ["content-type"], lines: [`content-type: ${type}`] },
    expect: { status: 415, code: "unsupported_media_type", up: 0 },
  })),
  ...takenTypes.map((type) => ({
    what: `content-type ${type}`,
    send: { without: ["content-type"], lines: [`content-type: ${type}`] },
    expect: { status: 200, up: 1, saw: { headers: { "content-type": type } } },
  })),
  { what: "no content-type", send: { without: ["content-type"] }, expect: { status: 415, up: 0 } },
  {
    what: "gzip",
    send: { body: gzipSync("{}"), lines: ["content-encoding: gzip"] },
    expect: { status: 415, code: "unsupported_content_encoding", up: 0 },
  },
  {
    what: "a body where none belongs",
    send: { method: "PUT", target: "https://queue.fal.run/demo/echo/requests/{job}/cancel" },
    expect: { status: 400, code: "unexpected_body", up: 0 },
  },
  {
    what: "a GET with a body",
    send: {
      raw: `GET {mount} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ada\r\nx-fal-target-url: https://queue.fal.run/demo/echo/requests/x\r\ncontent-length: 2\r\n\r\n{}`,
    },
    expect: { status: [400, 404, "closed"], up: 0 },
  },
  {
    what: "chunked, in one chunk",
    send: { raw: "{head}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n" },
    expect: { status: 200, up: 1, saw: { body: "{}" } },
  },
  {
    what: "chunked, a byte at a time, with extensions and trailers",
    send: {
      raw: "{head}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n1;a=b\r\n{\r\n1\r\n}\r\n0\r\nauthorization: Key other\r\n\r\n",
    },
    expect: { status: 200, up: 1, saw: { body: "{}" } },
  },
  {
    what: "chunked, in capitals",
    send: { raw: "{head}\r\nTRANSFER-ENCODING: Chunked\r\nconnection: close\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n" },
    expect: { status: 200, up: 1, saw: { body: "0123456789" } },
  },
  {
    what: "64 MiB announced",
    send: { raw: `{head}\r\ncontent-length: ${64 * mib}\r\n\r\n{` },
    expect: { status: 413, code: "body_too_large", up: 0 },
  },
  {
    what: "one byte too many announced",
    send: { raw: `{head}\r\ncontent-length: ${32 * mib + 1}\r\n\r\n{` },
    expect: { status: 413, up: 0 },
  },
  { what: "32 MiB", play: allowedWhole },
  { what: "64 MiB, chunked", play: tooMuchChunked },
  {
    what: "a small limit, chunked",
    options: { maxBodyBytes: 4 },
    send: { raw: "{head}\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n0\r\n\r\n" },
    expect: { status: 413, code: "body_too_large", up: [0, 1] },
  },
  { what: "the caller hangs up half-way", play: (field) => cutBody(field, (line) => line.socket.end()) },
  { what: "the caller resets half-way", play: (field) => cutBody(field, (line) => line.leave()) },
  { what: "the caller cuts a chunked body", play: (field) => cutBody(field, (line) => line.leave(), true) },
  {
    what: "the caller stops sending",
    options: { timeouts: { callerBody: 60 } },
    send: { raw: "{head}\r\ncontent-length: 100\r\n\r\n{" },
    expect: { status: 400, code: "body_timeout", up: [0, 1] },
  },
  {
    what: "the caller stops sending chunks",
    options: { timeouts: { callerBody: 60 } },
    send: { raw: "{head}\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n" },
    expect: { status: 400, code: "body_timeout", up: [0, 1] },
  },
  ...throughRule.map(([what, body, sent]) => ({
    what: `a rule sees ${what}`,
    options: { endpoints: ruled },
    send: { body },
    expect: { status: 200, up: 1, saw: { body: sent } },
  })),
  ...stoppedByRule.map(([what, body]) => ({
    what: `a rule is not shown ${what}`,
    options: { endpoints: ruled },
    send: { body },
    expect: { status: 400, code: "invalid_json", up: 0 },
  })),
  {
    what: "a rule is not shown nesting of 100,000",
    options: { endpoints: ruled },
    send: { body: "[".repeat(100_000) + "]".repeat(100_000) },
    expect: { status: 400, up: 0 },
  },
  {
    what: "a rule is not shown more than 1 MiB",
    options: { endpoints: ruled },
    send: { body: Buffer.alloc(mib + 1, " ") },
    expect: { status: 413, code: "body_too_large", up: 0 },
  },
  {
    what: "a rule is asked before the rest of the query",
    options: { endpoints: ruled },
    send: { target: `${run}?a=1` },
    expect: { status: 400, code: "query_refused", up: 0 },
  },
  {
    what: "upstream answers before the body is over",
    upstream: raw("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "end"),
    send: { body: Buffer.alloc(4 * mib, "a") },
    expect: { status: [413, 500], up: 1 },
  },
];

type Line = Awaited<ReturnType<Field["line"]>>;

async function allowedWhole(field: Field): Promise<void> {
  const { arrivals } = field.ground.upstream;
  const at = arrivals.length;
  const [reply] = await ask(field, { body: Buffer.alloc(32 * mib, "a") });
  expect(reply?.status).toBe(200);
  const body = Buffer.concat(arrivals[at]?.received ?? []);
  expect(body.equals(Buffer.alloc(32 * mib, "a"))).toBe(true);
  arrivals[at]?.received.splice(0);
}

/** Upstream may see the beginning, but never an end; the process keeps little of it. */
async function tooMuchChunked(field: Field): Promise<void> {
  const { arrivals } = field.ground.upstream;
  const at = arrivals.length;
  const line = await field.line();
  line.write(toBytes({ raw: "{head}\r\ntransfer-encoding: chunked\r\n\r\n" }, field));
  const chunk = Buffer.concat([Buffer.from("100000\r\n"), Buffer.alloc(mib, "a"), Buffer.from("\r\n")]);
  for (let sent = 0; sent < 64 && line.socket.writable && !line.socket.destroyed; sent += 1) {
    if (line.socket.write(chunk)) continue;
    const room = new Promise((resolve) => line.socket.once("drain", () => resolve("room")));
    if ((await Promise.race([room, line.head(), line.closed])) !== "room") break;
  }
  const status = await line.head();
  expect([413, undefined]).toContain(status);
  line.leave();
  for (const arrival of arrivals.slice(at)) {
    await expect(arrival.whole).rejects.toThrow();
    arrival.received.splice(0);
  }
}

async function cutBody(field: Field, cut: (line: Line) => void, chunked = false): Promise<void> {
  const { upstream } = field.ground;
  const at = upstream.arrivals.length;
  const line = await field.line();
  const framing = chunked ? "transfer-encoding: chunked\r\n\r\n100000\r\n" : `content-length: ${mib}\r\n\r\n`;
  line.write(toBytes({ raw: `{head}\r\n${framing}` }, field));
  line.write(Buffer.alloc(mib / 2, "a"));
  for (let tries = 0; upstream.arrivals.length === at && tries < 200; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(upstream.arrivals.length).toBe(at + 1);
  cut(line);
  await expect(upstream.arrivals[at]?.whole).rejects.toThrow("the sender broke off");
}
