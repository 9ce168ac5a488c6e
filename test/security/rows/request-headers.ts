import { type Row, run } from "../row.ts";

type Line = readonly [what: string, ...lines: string[]];

/** The call goes through, and none of these lines does. */
const held: readonly Line[] = [
  ["the app's session in a cookie", "cookie: session=ada; theme=dark"],
  ["a connection that names the key's header", "connection: authorization"],
  ["a connection that names the target", "connection: keep-alive, x-fal-target-url"],
  ["a connection that names the body's length", "connection: content-length, content-type"],
  ["keep-alive", "connection: keep-alive", "keep-alive: timeout=600"],
  ["trailers announced", "te: trailers", "trailer: authorization"],
  ["a proxy's credentials", "proxy-authorization: Basic YWRhOmFkYQ==", "proxy-connection: keep-alive"],
  [
    "the forwarded family",
    "x-forwarded-for: 10.0.0.1",
    "x-forwarded-host: evil.example",
    "x-forwarded-proto: http",
    "x-real-ip: 10.0.0.1",
  ],
  ["the standard forwarded header", "forwarded: for=10.0.0.1;host=evil.example", "via: 1.1 evil"],
  ["a client address of a CDN", "cf-connecting-ip: 10.0.0.1", "true-client-ip: 10.0.0.1"],
  ["a path of another layer", "x-original-url: /admin", "x-rewrite-url: /admin", "x-forwarded-uri: /admin"],
  ["a framework's internal header", "x-middleware-subrequest: middleware:middleware", "x-nextjs-data: 1"],
  ["a user of fal's", "x-fal-user-id: admin"],
  ["a platform header that is not listed", "x-fal-admin: 1", "x-fal-secret: 1"],
  [
    "underscores for hyphens",
    "x_fal_target_url: https://evil.example/",
    "x_fal_queue_priority: high",
    "authorization_: Key other",
  ],
  [
    "the key's header in other spellings",
    "x-authorization: Key other",
    "authorization2: Key other",
    "x-api-key: other",
  ],
  ["a proxy for CGI", "proxy: http://evil.example:8080"],
  ["names of a prototype's", "__proto__: x", "constructor: x", "toString: x"],
  [
    "conditions and ranges",
    'if-none-match: "a"',
    "if-modified-since: Thu, 01 Jan 2026 00:00:00 GMT",
    "range: bytes=0-1",
  ],
  ["where the page is", "referer: https://app.example/secret", "accept-language: de"],
  ["a trace", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "baggage: user=ada"],
  ["a header of one byte", "a: b"],
  ["a number as a name", "0: x"],
  ["cookies in many lines", "cookie: a=1", "cookie: session=ada", "cookie: b=2"],
];

/** What crosses, with the value that upstream sees. */
const crossing: readonly (readonly [what: string, name: string, value: string])[] = [
  ["a queue priority", "x-fal-queue-priority", "low"],
  ["a runner hint", "x-fal-runner-hint", "abc"],
  ["tags in latin-1", "x-fal-tags", "caf\u00e9"],
  ["an accept for streams", "accept", "text/event-stream"],
  ["the last event", "last-event-id", "42"],
  ["a user agent", "user-agent", "ada's browser"],
  ["a header in capitals", "X-FAL-REQUEST-TIMEOUT", "10"],
];

/** Two readings of one message: refused, or the one reading that everybody shares. Nothing smuggled ever arrives. */
const smuggled =
  "POST {mount} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ada\r\nx-fal-target-url: https://fal.run/demo/smuggled\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
const ambiguous: readonly (readonly [what: string, lines: string, body: string])[] = [
  ["length and chunked", "content-length: 4\r\ntransfer-encoding: chunked", `0\r\n\r\n${smuggled}`],
  ["chunked and length", `transfer-encoding: chunked\r\ncontent-length: 5`, `0\r\n\r\n${smuggled}`],
  ["two lengths", `content-length: 2\r\ncontent-length: ${smuggled.length + 2}`, `{}${smuggled}`],
  ["two lengths that agree", "content-length: 2\r\ncontent-length: 2", "{}"],
  ["a list of lengths", "content-length: 2, 2", "{}"],
  ["a length with a plus", "content-length: +2", "{}"],
  ["a length in hex", "content-length: 0x2", "{}"],
  ["a length below zero", "content-length: -2", "{}"],
  ["a length beyond 2^64", "content-length: 18446744073709551618", "{}"],
  ["a length with a word", "content-length: 2x", "{}"],
  ["an empty length", "content-length: ", "{}"],
  ["a coding that is none", "transfer-encoding: xchunked", `2\r\n{}\r\n0\r\n\r\n`],
  ["chunked is not last", "transfer-encoding: chunked, identity", `2\r\n{}\r\n0\r\n\r\n`],
  ["identity alone", "transfer-encoding: identity\r\ncontent-length: 2", "{}"],
  ["a space before the colon", "transfer-encoding : chunked\r\ncontent-length: 2", `0\r\n\r\n${smuggled}`],
  ["a vertical tab in the coding", "transfer-encoding: \u000bchunked\r\ncontent-length: 2", `0\r\n\r\n${smuggled}`],
  ["a line feed before the coding", "x: y\ntransfer-encoding: chunked\r\ncontent-length: 2", `0\r\n\r\n${smuggled}`],
  ["a chunk size that is none", "transfer-encoding: chunked", `zz\r\n{}\r\n0\r\n\r\n`],
  ["a chunk size with a minus", "transfer-encoding: chunked", `-2\r\n{}\r\n0\r\n\r\n`],
  ["a chunk size beyond 2^64", "transfer-encoding: chunked", `10000000000000002\r\n{}\r\n0\r\n\r\n`],
  ["a chunk size with a prefix", "transfer-encoding: chunked", `0x2\r\n{}\r\n0\r\n\r\n`],
  ["a chunk without its end", "transfer-encoding: chunked", `2\r\n{}0\r\n\r\n${smuggled}`],
  ["a chunk that is longer than its size", "transfer-encoding: chunked", `1\r\n{}\r\n0\r\n\r\n`],
  ["a line feed in a chunk extension", "transfer-encoding: chunked", `2;\n{}\r\n0\r\n\r\n`],
  ["a chunk extension of 64 KB", "transfer-encoding: chunked", `2;${"a".repeat(65_536)}\r\n{}\r\n0\r\n\r\n`],
  ["trailers of 64 KB", "transfer-encoding: chunked", `2\r\n{}\r\n0\r\na: ${"b".repeat(65_536)}\r\n\r\n`],
];

/** Refused by the parser or by a rule before anything is asked. */
const malformed: readonly (readonly [what: string, raw: string])[] = [
  ["bare line feeds", `{head}\ncontent-length: 2\n\n{}`],
  ["a bare carriage return", `{head}\rx: y\r\ncontent-length: 2\r\n\r\n{}`],
  [
    "a folded target",
    `POST {mount} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ada\r\nx-fal-target-url: https://fal.run\r\n /demo/echo\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
  ],
  ["a header without a name", `{head}\r\n: x\r\ncontent-length: 2\r\n\r\n{}`],
  ["a header without a colon", `{head}\r\nnonsense\r\ncontent-length: 2\r\n\r\n{}`],
  ["a space in a name", `{head}\r\nx y: z\r\ncontent-length: 2\r\n\r\n{}`],
  ["a NUL in a value", `{head}\r\nx-fal-tags: a\u0000b\r\ncontent-length: 2\r\n\r\n{}`],
  ["a letter beyond ASCII in a name", `{head}\r\nx-\u00e9: z\r\ncontent-length: 2\r\n\r\n{}`],
  ["a header of 64 KB", `{head}\r\nx-fal-tags: ${"a".repeat(65_536)}\r\ncontent-length: 2\r\n\r\n{}`],
  [
    "a target of 64 KB",
    `POST {mount} HTTP/1.1\r\nhost: a\r\nx-fal-target-url: https://fal.run/demo/${"a".repeat(65_536)}\r\n\r\n`,
  ],
  ["a request line of 64 KB", `POST {mount}/${"a".repeat(65_536)} HTTP/1.1\r\nhost: a\r\n\r\n`],
  ["a preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ["a version that is none", "POST {mount} HTTP/9.9\r\nhost: a\r\n\r\n"],
  ["a version of 0.9", "GET {mount}\r\n\r\n"],
  ["a greeting of TLS", "\u0016\u0003\u0001\u0000\u00a5\u0001\u0000\u0000\u00a1\u0003\u0003\r\n\r\n"],
  [
    "no host",
    `POST {mount} HTTP/1.1\r\nauthorization: Bearer ada\r\nx-fal-target-url: ${run}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}`,
  ],
];

const length = "content-length: 2\r\n\r\n{}";

export const requestHeaderRows: readonly Row[] = [
  {
    what: "the app's session in authorization",
    send: {},
    expect: { status: 200, up: 1, saw: { headers: { cookie: null } } },
  },
  ...held.map(([what, ...lines]) => ({
    what,
    send: { lines },
    expect: { status: 200, up: 1, saw: { url: run, method: "POST", body: "{}" } },
  })),
  ...crossing.map(([what, name, value]) => ({
    what,
    send: { lines: [`${name}: ${value}`] },
    expect: { status: 200, up: 1, saw: { headers: { [name.toLowerCase()]: value } } },
  })),
  ...ambiguous.map(([what, lines, body]) => ({
    what,
    send: { raw: `{head}\r\n${lines}\r\n\r\n${body}` },
    expect: { status: [400, 413, 431, "closed" as const], up: [0, 1] },
  })),
  ...malformed.map(([what, raw]) => ({
    what,
    send: { raw },
    expect: { status: [400, 404, 431, 505, "closed" as const], up: 0 },
  })),
  {
    what: "1,500 headers",
    send: { lines: Array.from({ length: 1500 }, (_, index) => `${index.toString(36)}: 1`) },
    expect: { status: 431, up: 0 },
  },
  {
    what: "an absolute request line to another host",
    send: {
      raw: `POST http://evil.example{mount} HTTP/1.1\r\nhost: evil.example\r\nauthorization: Bearer ada\r\nx-fal-target-url: ${run}\r\ncontent-type: application/json\r\n${length}`,
    },
    expect: { status: [200, 400], up: [0, 1], saw: { url: run } },
  },
  {
    what: "an absolute request line to fal",
    send: {
      raw: `POST https://fal.run/demo/echo HTTP/1.1\r\nhost: fal.run\r\nauthorization: Bearer ada\r\ncontent-type: application/json\r\n${length}`,
    },
    expect: { status: [400, 404, 500], up: 0 },
  },
  {
    what: "a key of the caller's",
    send: { without: ["authorization"], lines: ["authorization: Key other:key"] },
    expect: { status: 200, up: 1 },
  },
  {
    what: "two credentials",
    send: { lines: ["authorization: Key other:key"] },
    expect: { status: [200, 400], up: [0, 1] },
  },
  {
    what: "a priority twice is joined",
    send: { lines: ["x-fal-tags: a", "x-fal-tags: b"] },
    expect: { status: 200, up: 1, saw: { headers: { "x-fal-tags": "a, b" } } },
  },
  {
    what: "two content types",
    send: { lines: ["content-type: text/plain"] },
    expect: { status: [200, 400, 415], up: [0, 1], saw: { headers: { "content-type": "application/json" } } },
  },
  {
    what: "a folded header",
    send: { raw: `{head}\r\nx-fal-tags: a\r\n b\r\n${length}` },
    expect: { status: [200, 400], up: [0, 1] },
  },
  { what: "no user agent", send: {}, expect: { status: 200, up: 1 } },
  {
    what: "an expectation to continue",
    send: { lines: ["expect: 100-continue"] },
    expect: { status: 200, up: 1, saw: { headers: { expect: null }, body: "{}" } },
  },
  { what: "an expectation that is none", send: { lines: ["expect: a-miracle"] }, expect: { status: 417, up: 0 } },
  {
    what: "an upgrade to HTTP/2",
    send: {
      lines: ["connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABkAARAAAAAAAIAAAAA"],
    },
    expect: { status: [200, 404], up: [0, 1] },
  },
  {
    what: "an upgrade beside a target header",
    send: { method: "GET", lines: ["connection: Upgrade", "upgrade: websocket"] },
    expect: { status: [404, 405], up: 0 },
  },
  {
    what: "HTTP/1.0",
    send: {
      raw: `POST {mount} HTTP/1.0\r\nauthorization: Bearer ada\r\nx-fal-target-url: ${run}\r\ncontent-type: application/json\r\n${length}`,
    },
    expect: { status: 200, up: 1, saw: { url: run, body: "{}" } },
  },
  {
    what: "HTTP/1.0, chunked",
    send: {
      raw: `POST {mount} HTTP/1.0\r\nhost: a\r\nauthorization: Bearer ada\r\nx-fal-target-url: ${run}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    },
    expect: { status: [200, 400, "closed"], up: [0, 1] },
  },
  { what: "two hosts", send: { lines: ["host: evil.example"] }, expect: { status: [200, 400], up: [0, 1] } },
  { what: "another host", send: { without: ["host"], lines: ["host: evil.example"] }, expect: { status: 200, up: 1 } },
  {
    what: "a cookie under another host's name",
    send: {
      without: ["host", "authorization"],
      lines: ["host: evil.example", "origin: http://evil.example", "cookie: session=ada"],
    },
    expect: { status: [403, 500], up: 0 },
  },
  {
    what: "pipelined: each gets its own answer",
    send: { raw: `{head}\r\n${length}{head}\r\nconnection: close\r\n${length}` },
    expect: { status: 200, up: 2 },
  },
  {
    what: "a compressed answer is asked for only where it can pass",
    send: { lines: ["accept-encoding: gzip, br"] },
    expect: { status: 200, up: 1 },
  },
];
