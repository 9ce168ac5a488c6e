import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type Server, type Socket, connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import type { KeywayOptions } from "@keyway/core";
import { attach } from "@keyway/node";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { byName } from "../conformance/stage.ts";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { listenOnFreePort, startUpstream, upstreamKey } from "../upstream.ts";
import { type EchoPlace, handshakeLines, handshakeTo, startEcho } from "./echo.ts";
import { frame, readFrames } from "./raw-frames.ts";

leaveNothingOpen();

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const site = { authorize: byName, publicUrl: "https://app.test/api/fal/proxy" } as const;

async function start(options: Partial<KeywayOptions> = site, serve?: (socket: WebSocket) => void): Promise<EchoPlace> {
  const place = await startEcho(options, serve);
  closers.push(() => place.close());
  return place;
}

/** Sends raw bytes and reads what comes back until the head of the answer is there. */
async function shake(url: string, bytes: string | Buffer): Promise<{ status: number; text: string; socket: Socket }> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  closers.push(() => socket.destroy());
  socket.write(bytes);
  let text = "";
  await new Promise<void>((resolve) => {
    socket.on("close", resolve).on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes("\r\n\r\n")) resolve();
    });
  });
  return { status: Number(text.slice(9, 12)), text, socket };
}

const bearer = "authorization: Bearer ada";

/** The usual handshake with lines added, and those of the same name left out. */
function linesWith(...more: readonly string[]): string[] {
  const names = more.map((line) => line.split(":")[0]?.toLowerCase());
  const usual = [...handshakeLines, bearer].filter((line) => !names.includes(line.split(":")[0]));
  return [...usual, ...more.filter((line) => !line.endsWith(":"))];
}

interface Refusal {
  readonly row: string;
  readonly lines?: readonly string[];
  readonly first?: string;
  readonly options?: Partial<KeywayOptions>;
  /** What stands in place of the target. */
  readonly path?: string;
  readonly status: number | readonly number[];
  readonly says?: string;
}

const cookie = "cookie: session=ada";
const anonymous = linesWith("authorization:");

/** We judge: none of these reaches upstream. */
const refusals: readonly Refusal[] = [
  { row: "W02 no key", lines: linesWith("sec-websocket-key:"), status: 400 },
  { row: "W02 a short key", lines: linesWith("sec-websocket-key: abc"), status: 400 },
  { row: "W02 a key that is no base64", lines: linesWith("sec-websocket-key: !!!!!!!!!!!!!!!!!!!!!!=="), status: 400 },
  {
    row: "W03 version 12",
    lines: linesWith("sec-websocket-version: 12"),
    status: 426,
    says: "sec-websocket-version: 13",
  },
  { row: "W04 POST", first: "POST", status: 405 },
  { row: "W05 Upgrade: h2c", lines: linesWith("upgrade: h2c"), status: 400 },
  {
    row: "W06 a foreign origin with a cookie",
    lines: [...anonymous, cookie, "origin: https://evil.test"],
    status: 403,
  },
  { row: "W07 origin null", lines: [...anonymous, cookie, "origin: null"], status: 403 },
  {
    row: "W08 a suffix of the origin",
    lines: [...anonymous, cookie, "origin: https://app.test.evil.test"],
    status: 403,
  },
  { row: "W08 another scheme", lines: [...anonymous, cookie, "origin: http://app.test"], status: 403 },
  { row: "W08 another port", lines: [...anonymous, cookie, "origin: https://app.test:444"], status: 403 },
  { row: "W09 a cookie without an origin", lines: [...anonymous, cookie], status: 403 },
  { row: "W10 nobody", lines: anonymous, status: 401 },
  { row: "W11 a host that is not fal's", path: "evil.test/demo/echo/realtime", status: [400, 404] },
  { row: "W11 dot segments", path: "fal.run/demo/../echo/realtime", status: [400, 404] },
  { row: "W11 an encoded slash", path: "fal.run/demo%2fecho/realtime", status: 400 },
  { row: "W11 userinfo", path: "ada@fal.run/demo/echo/realtime", status: [400, 404] },
  { row: "W11 a port", path: "fal.run:444/demo/echo/realtime", status: [400, 404] },
  { row: "W11 an empty segment", path: "fal.run//demo/echo/realtime", status: 400 },
  { row: "W11 a host of fal's without real-time", path: "queue.fal.run/demo/echo/realtime", status: 400 },
  {
    row: "W16 2,000 headers",
    lines: linesWith(...Array.from({ length: 2000 }, (_, n) => `x-${n}: 1`)),
    status: [400, 431],
  },
  { row: "W20 a subprotocol twice", lines: linesWith("sec-websocket-protocol: a, b, a"), status: 400 },
  { row: "W20 an empty subprotocol", lines: linesWith("sec-websocket-protocol: a,,b"), status: 400 },
  {
    row: "W67 a caller with too many open",
    options: { ...site, limits: { caller: { streams: 0 } } },
    status: 429,
  },
  { row: "an endpoint that is not listed", options: { ...site, endpoints: ["demo/other"] }, status: 403 },
  {
    row: "a spent budget",
    options: {
      ...site,
      endpoints: { "demo/**": { price: { perMinute: 1 }, realtime: "proxied" } },
      limits: { caller: { budget: { usd: 0.5, per: "day" } } },
    },
    status: 402,
  },
];

describe("we judge, before upstream is dialled", () => {
  it.each(refusals)("$row", async ({ lines = linesWith(), first, options, path, status, says = "" }) => {
    const place = await start(options);
    const url = path === undefined ? place.tunnelled : place.tunnelled.replace("fal.run/demo/echo/realtime", path);
    const request = handshakeTo("ws://app.test/", lines, first).replace(
      " / ",
      ` ${url.slice(new URL(url).origin.length)} `,
    );
    const answer = await shake(place.tunnelled, request);
    expect([status].flat()).toContain(answer.status);
    expect(answer.text).toContain(says);
    expect(place.upstream.connections).toBe(0);
  });

  it("W05 without Connection: upgrade it is a plain request", async () => {
    const place = await start();
    const answer = await shake(place.tunnelled, handshakeTo(place.tunnelled, linesWith("connection: close")));
    expect(answer.status).not.toBe(101);
    expect(place.upstream.connections).toBe(0);
  });

  it("W12 an absolute request line is nobody's", async () => {
    const place = await start();
    const request = handshakeTo(place.tunnelled, linesWith()).replace("GET /", "GET http://169.254.169.254/");
    expect([400, 404]).toContain((await shake(place.tunnelled, request)).status);
    expect(place.upstream.connections).toBe(0);
  });

  it("W17 spaces in the list of subprotocols take no time", async () => {
    const place = await start();
    const lines = linesWith(`sec-websocket-protocol: b${" ".repeat(12_000)}x`);
    const before = process.cpuUsage();
    expect((await shake(place.tunnelled, handshakeTo(place.tunnelled, lines))).status).toBe(400);
    expect(process.cpuUsage(before).user).toBeLessThan(500_000);
  });

  it("W30 HTTP/1.0, and a request in the pipeline behind a refusal", async () => {
    const place = await start();
    const old = handshakeTo(place.tunnelled, linesWith()).replace("HTTP/1.1", "HTTP/1.0");
    expect((await shake(place.tunnelled, old)).status).toBe(400);
    const refused = handshakeTo(place.tunnelled, anonymous);
    const { text, socket } = await shake(place.tunnelled, refused + handshakeTo(place.tunnelled, linesWith()));
    await once(socket, "close");
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(place.upstream.connections).toBe(0);
  });

  it("W67 a second socket of a caller who may have one, and a third party's when all may have two", async () => {
    const place = await start({ ...site, limits: { caller: { streams: 1 }, global: { streams: 2 } } });
    const ask = (name: string): Promise<number> =>
      shake(place.tunnelled, handshakeTo(place.tunnelled, linesWith(`authorization: Bearer ${name}`))).then(
        ({ status }) => status,
      );
    expect([await ask("ada"), await ask("ada"), await ask("bob"), await ask("eve")]).toEqual([101, 429, 101, 429]);
  });
});

describe("we judge, and let it through", () => {
  it("W01 a valid upgrade gets the accept value of its key", async () => {
    const place = await start();
    const { text } = await shake(place.tunnelled, handshakeTo(place.tunnelled, linesWith()));
    expect(text).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });

  it("W08 an origin in capitals is the same, W09 a bearer needs no origin", async () => {
    const place = await start();
    const lines = [...anonymous, cookie, "origin: https://APP.TEST"];
    expect((await shake(place.tunnelled, handshakeTo(place.tunnelled, lines))).status).toBe(101);
  });

  it("W21 extensions of odd names cross to nobody", async () => {
    const place = await start();
    const lines = linesWith("sec-websocket-extensions: constructor, __proto__=1");
    expect((await shake(place.tunnelled, handshakeTo(place.tunnelled, lines))).status).toBe(101);
  });

  it("W29, W77 frames in the packet of the handshake arrive, 600 KB of them, in order", async () => {
    const place = await start(site, (socket) =>
      socket.on("message", (data: Buffer) => socket.send(data.subarray(0, 8))),
    );
    const early = Array.from({ length: 300 }, (_, n) =>
      frame({ payload: String(n).padStart(8, "0") + "x".repeat(2000) }),
    );
    const { text, socket } = await shake(
      place.tunnelled,
      Buffer.concat([Buffer.from(handshakeTo(place.tunnelled, linesWith())), ...early]),
    );
    let bytes = Buffer.from(text.slice(text.indexOf("\r\n\r\n") + 4), "latin1");
    socket.on("data", (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
    });
    await expect.poll(() => readFrames(bytes).length).toBe(300);
    expect(readFrames(bytes).map(({ payload }) => Number(payload.toString()))).toEqual(
      Array.from({ length: 300 }, (_, n) => n),
    );
  });

  it("W78 what upstream says at once arrives", async () => {
    const place = await start(site, (socket) => socket.send("hello"));
    const socket = new WebSocket(place.tunnelled, { headers: { authorization: "Bearer ada" } });
    closers.push(() => socket.terminate());
    expect(String((await once(socket, "message"))[0])).toBe("hello");
  });
});

/** An upstream that answers handshakes by hand. */
async function byHand(answer: (socket: Duplex, key: string) => void, options: Partial<KeywayOptions> = {}) {
  const upstream = await startUpstream();
  const seen: string[][] = [];
  upstream.upgrade((request, socket) => {
    seen.push(request.rawHeaders);
    answer(socket, String(request.headers["sec-websocket-key"]));
  });
  const server = createHttpServer();
  const timeouts = { socketClose: 100, ...options.timeouts };
  attach(server, { ...site, endpoints: "any", upstream: upstream.option, ...options, timeouts });
  const port = await listenOnFreePort(server);
  closers.push(upstream.close, () => new Promise((resolve) => server.close(resolve)));
  return { upstream, seen, url: `ws://127.0.0.1:${port}/api/fal/proxy/fal.run/demo/echo/realtime` };
}

const accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

function switching(...lines: readonly string[]): string {
  return ["HTTP/1.1 101 Switching", "upgrade: websocket", "connection: Upgrade", ...lines, "\r\n"].join("\r\n");
}

describe("we judge upstream's answer", () => {
  it.each<[string, string, number]>([
    ["W19 a subprotocol that was not offered", switching(accept, "sec-websocket-protocol: c"), 502],
    [
      "W22 an extension that was not offered, with nonsense in it",
      switching(accept, "sec-websocket-extensions: permessage-deflate; server_max_window_bits=99"),
      502,
    ],
    ["W23 a wrong accept value", switching("sec-websocket-accept: AAAA"), 502],
    ["W23 no accept value", switching(), 502],
    ...[401, 403, 302].map((status): [string, string, number] => [
      `W24, W25 ${status}`,
      `HTTP/1.1 ${status} No\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 6\r\n\r\nsecret`,
      502,
    ]),
    ...[404, 429].map((status): [string, string, number] => [
      `W24 ${status}`,
      `HTTP/1.1 ${status} No\r\ncontent-length: 6\r\n\r\nsecret`,
      status,
    ]),
  ])("%s", async (_row, answer, status) => {
    const { url } = await byHand((socket) => socket.end(answer));
    const got = await shake(url, handshakeTo(url, linesWith("sec-websocket-protocol: a, b")));
    expect(got.status).toBe(status);
    expect(got.text).not.toContain("secret");
  });

  it("W18 the subprotocol that upstream picks, W26 the key is in its header alone, W27 nothing of the caller's, W68 no extension", async () => {
    const { url, seen } = await byHand((socket) => socket.write(switching(accept, "sec-websocket-protocol: b")));
    const own = [
      cookie,
      "origin: https://app.test",
      "x-forwarded-for: 6.6.6.6",
      "sec-websocket-extensions: permessage-deflate",
    ];
    const { status, text } = await shake(url, handshakeTo(url, linesWith("sec-websocket-protocol: a, b", ...own)));
    expect([status, /sec-websocket-protocol: (.*)\r/i.exec(text)?.[1]]).toEqual([101, "b"]);
    expect(text).not.toContain(upstreamKey);
    const [raw = []] = seen;
    const names = raw.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase());
    expect(raw[names.indexOf("authorization") * 2 + 1]).toBe(`Key ${upstreamKey}`);
    for (const name of ["cookie", "origin", "x-forwarded-for", "sec-websocket-extensions"])
      expect(names).not.toContain(name);
  });

  it("sockets.deflate: true offers permessage-deflate and passes what upstream agrees to; W70 a malformed offer is left out", async () => {
    const agreed = "sec-websocket-extensions: permessage-deflate; server_no_context_takeover";
    const { url, seen } = await byHand((socket) => socket.write(switching(accept, agreed)), {
      ...site,
      sockets: { deflate: true },
    });
    const offers =
      "permessage-deflate; client_max_window_bits, x-webkit-deflate-frame, permessage-deflate; a=constructor()";
    const { text } = await shake(url, handshakeTo(url, linesWith(`sec-websocket-extensions: ${offers}`)));
    expect(text.toLowerCase()).toContain(agreed);
    const [raw = []] = seen;
    expect(raw[raw.findIndex((name) => /extensions/i.test(name)) + 1]).toBe(
      "permessage-deflate; client_max_window_bits",
    );
  });

  it("W15 silence is 504", async () => {
    const { url } = await byHand(() => undefined, { ...site, timeouts: { handshake: 50, connect: 50 } });
    expect((await shake(url, handshakeTo(url, linesWith()))).status).toBe(504);
  });

  it("W75 a refused connection and an end without an answer are 502", async () => {
    const { url, upstream } = await byHand((socket) => socket.destroy());
    expect((await shake(url, handshakeTo(url, linesWith()))).status).toBe(502);
    await upstream.close();
    expect((await shake(url, handshakeTo(url, linesWith()))).status).toBe(502);
  });

  it.each([
    ["W28, W76 a caller who resets", (socket: Socket) => void socket.resetAndDestroy()],
    ["W76 a caller who just ends", (socket: Socket) => void socket.end()],
  ])("%s during the dial ends it within a second", async (_row, leave) => {
    const [arrived, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const silent: Server = createServer((socket) => {
      socket
        .on("error", () => undefined)
        .on("data", () => arrived.resolve())
        .on("close", () => gone.resolve());
    });
    const port = await listenOnFreePort(silent);
    closers.push(() => new Promise((resolve) => silent.close(resolve)));
    const place = await byHand(() => undefined, { ...site, upstream: { url: `http://127.0.0.1:${port}`, key: "k" } });
    const socket = connect(Number(new URL(place.url).port), "127.0.0.1").on("error", () => undefined);
    closers.push(() => socket.destroy());
    socket.write(handshakeTo(place.url, linesWith()));
    await arrived.promise;
    const before = Date.now();
    leave(socket);
    await gone.promise;
    expect(Date.now() - before).toBeLessThan(1000);
  });
});
