import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { type RequestListener, type Server, type ServerResponse, createServer } from "node:http";
import { type Socket, connect, createServer as createNetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { KeywayOptions } from "@keyway/core";
import { type NodeProxy, createNodeProxy } from "@keyway/node";
import compression from "compression";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { leaveNothingOpen } from "./conformance/leftovers.ts";
import { node } from "./conformance/mounts/node.ts";
import { web } from "./conformance/mounts/web.ts";
import { byName, listenToConsole, run, stage, stream } from "./conformance/stage.ts";
import { type Upstream, always, freePort, listenOnFreePort, respond, startUpstream } from "./upstream.ts";
import { open, send } from "./wire.ts";

leaveNothingOpen();

const headers = [
  ["x-fal-target-url", run],
  ["content-type", "application/json"],
  ["authorization", "Bearer ada"],
] as const;
const post = { method: "POST", headers, body: "{}" };
const megabyte = 1024 * 1024;

interface Place {
  readonly upstream: Upstream;
  readonly server: Server;
  readonly proxy: NodeProxy;
  readonly url: string;
}

/** A server of the app's own that hands requests to the proxy as it likes. */
async function bringUp(
  options: Partial<KeywayOptions> = {},
  wrap: (proxy: NodeProxy) => RequestListener = (proxy) => (req, res) => void proxy.handle(req, res),
): Promise<Place> {
  const upstream = await startUpstream();
  const proxy = createNodeProxy({ authorize: byName, endpoints: "any", upstream: upstream.option, ...options });
  const server = createServer(wrap(proxy));
  server.on("upgrade", proxy.upgrade);
  const url = `http://127.0.0.1:${await listenOnFreePort(server)}/api/fal/proxy`;
  onTestFinished(async () => {
    await upstream.close();
    await proxy.close();
    server.closeAllConnections();
    server.close();
  });
  return { upstream, server, proxy, url };
}

/** A connection that sends a head, and what came back when it was closed. */
function dial(url: string, length: number, version = "1.1"): { socket: Socket; text: () => string } {
  const { port, host, pathname } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let text = "";
  socket.on("data", (bytes) => (text += String(bytes))).on("error", () => undefined);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`POST ${pathname} HTTP/${version}\r\nhost: ${host}\r\n${lines}content-length: ${length}\r\n\r\n`);
  return { socket, text: () => text };
}

/** A reset is an end as well. */
function closeOf(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once("close", resolve));
}

/** Sends all of a body before anything is read, as browsers do. */
async function pour(socket: Socket, bytes: number): Promise<void> {
  const piece = Buffer.alloc(megabyte, 97);
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += piece.length)
    if (!socket.write(piece)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
}

describe.each([node, web])("a large body: $name", (mount) => {
  it("is not taken for late while it is upstream that does not read", async () => {
    const { upstream, mounted } = await stage(mount, { timeouts: { callerBody: 150 } });
    const total = 8 * megabyte;
    upstream.answer(({ request, response }) => {
      request.removeAllListeners("data").pause();
      setTimeout(() => {
        let bytes = 0;
        request.on("data", (piece: Buffer) => (bytes += piece.length));
        request.once("end", () => respond(response, 200, { "content-type": "application/json" }, String(bytes)));
        request.resume();
      }, 600);
    });
    const answer = await send(mounted.url, { ...post, body: Buffer.alloc(total, 97) });
    expect([answer.status, answer.body.toString()]).toEqual([200, String(total)]);
  });

  it("is taken to its end when upstream cannot be reached, so that who reads afterwards has his answer", async () => {
    const gone = { url: `http://127.0.0.1:${await freePort()}`, key: "a-key" };
    const { mounted } = await stage(mount, { upstream: gone });
    const { socket, text } = dial(mounted.url, 16 * megabyte);
    const reset = once(socket, "close");
    const poured = pour(socket, 16 * megabyte).then(() => "poured");
    expect(await Promise.race([poured, reset, pause(4000, "stuck")])).toBe("poured");
    await expect.poll(text).toMatch(/^HTTP\/1\.1 502 /);
  });
});

describe("an answer", () => {
  it("that the app has ended in the proxy's place is one that the caller has left", async () => {
    let late: ServerResponse | undefined;
    const { upstream, url } = await bringUp({}, (proxy) => (req, res) => {
      late = res;
      void proxy.handle(req, res);
    });
    upstream.answer(({ response }) => response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders());
    const answer = send(url, post);
    const { socket } = await upstream.next();
    late?.end();
    await closeOf(socket);
    await answer;
  });

  it("to HTTP/1.0 that breaks is reset, because its end would look whole", async () => {
    const { upstream, url } = await bringUp();
    upstream.answer(({ response, socket }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
      setTimeout(() => socket.destroy(), 100);
    });
    const { socket, text } = dial(url, 2, "1.0");
    const failed = once(socket, "error");
    socket.write("{}");
    const ended = once(socket, "end").then(() => ["ended"]);
    expect(await Promise.race([failed, ended])).toMatchObject([{ code: "ECONNRESET" }]);
    expect(text()).toContain("data: 1\n\n");
  });

  it("to HTTP/1.0 over a pipe, which knows no reset, is broken off without harm", async () => {
    const { upstream, server, proxy } = await bringUp({ timeouts: { drain: 50 } });
    const path = join(mkdtempSync(join(tmpdir(), "keyway-")), "s");
    const piped = createServer(server.listeners("request")[0] as RequestListener);
    await new Promise<void>((resolve) => piped.listen(path, resolve));
    onTestFinished(() => void piped.close());
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const socket = connect(path);
    const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    socket.write(`POST /api/fal/proxy HTTP/1.0\r\nhost: a\r\n${lines}content-length: 2\r\n\r\n{}`);
    await once(socket, "data");
    const closed = closeOf(socket);
    expect(await proxy.close()).toEqual({ finished: 0, cut: 1 });
    await closed;
  });

  it("keeps the app's own cookies beside one of the proxy's", async () => {
    const authorize = () => ({ id: "ada", setCookie: "visitor=1; Path=/" });
    const { url } = await bringUp({ authorize }, (proxy) => (req, res) => {
      res.setHeader("set-cookie", "csrf=2; Path=/");
      void proxy.handle(req, res);
    });
    const { headers: lines } = await send(url, post);
    const cookies = lines.filter(([name]) => name.toLowerCase() === "set-cookie").map(([, value]) => value);
    expect(cookies).toEqual(["csrf=2; Path=/", "visitor=1; Path=/"]);
  });

  it("that is compressed leaves no listener for each time that the caller is waited for", async () => {
    const squeeze = compression();
    const { upstream, url } = await bringUp({}, (proxy) => (req, res) => {
      squeeze(req as never, res as never, () => void proxy.handle(req, res));
    });
    const warnings: string[] = [];
    const note = ({ name }: Error): unknown => warnings.push(name);
    process.on("warning", note);
    onTestFinished(() => void process.off("warning", note));
    upstream.answer(always(200, { "content-type": "text/plain" }, randomBytes(4 * megabyte).toString("base64")));
    const incoming = await open(url, { ...post, headers: [...headers, ["accept-encoding", "gzip"]] });
    let bytes = 0;
    for (let part = await incoming.read(); part !== null; part = await incoming.read()) bytes += part.length;
    expect(bytes).toBeGreaterThan(3 * megabyte);
    expect(warnings).toEqual([]);
  });
});

describe("close()", () => {
  it("waits until the last bytes of an answer have left", async () => {
    const over = Promise.withResolvers<void>();
    const observe: KeywayOptions["observe"] = ({ type }) => void (type === "call" && over.resolve());
    const { proxy, url } = await bringUp({ observe }, (made) => (req, res) => {
      const { socket } = req;
      const write = socket._write.bind(socket);
      // As if the caller took nothing for a while.
      Object.assign(socket, { _writev: undefined });
      socket._write = (...given) => void setTimeout(() => write(...given), 400);
      void made.handle(req, res);
    });
    const answer = send(url, post);
    await over.promise;
    const closing = proxy.close();
    expect(await Promise.race([closing, pause(200, "waits")])).toBe("waits");
    expect(await closing).toEqual({ finished: 1, cut: 0 });
    expect((await answer).status).toBe(200);
  });

  it("lets nothing go upstream that was decided after it", async () => {
    const asked = Promise.withResolvers<void>();
    const known = Promise.withResolvers<void>();
    const authorize = async (): Promise<{ id: string }> => {
      asked.resolve();
      await known.promise;
      return { id: "ada" };
    };
    const { upstream, proxy, url } = await bringUp({ authorize, timeouts: { drain: 50 } });
    listenToConsole();
    const call = send(url, post);
    const socket = new WebSocket(`${url.replace("http:", "ws:")}/fal.run/demo/echo/realtime`);
    const refused = once(socket, "unexpected-response");
    await asked.promise;
    await pause(100);
    expect(await proxy.close()).toEqual({ finished: 0, cut: 2 });
    known.resolve();
    expect((await call).status).toBe(503);
    expect(((await refused)[1] as { statusCode: number }).statusCode).toBe(503);
    expect(upstream.arrivals).toEqual([]);
  });
});

it("a socket that came by a server which listens nowhere itself stays open", async () => {
  const { upstream, server, url } = await bringUp();
  const sockets = new WebSocketServer({ noServer: true });
  upstream.upgrade((request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.on("message", (data: Buffer) => accepted.send(data.toString()));
    }),
  );
  const silent = createServer();
  for (const listener of server.listeners("upgrade")) silent.on("upgrade", listener as RequestListener);
  const front = createNetServer((socket) => void silent.emit("connection", socket));
  const port = await listenOnFreePort(front);
  onTestFinished(() => void front.close());
  const { pathname } = new URL(`${url}/fal.run/demo/echo/realtime`);
  const socket = new WebSocket(`ws://127.0.0.1:${port}${pathname}`, { headers: { authorization: "Bearer ada" } });
  await once(socket, "open");
  socket.send("hello");
  expect(String((await once(socket, "message"))[0])).toBe("hello");
  socket.close();
  await once(socket, "close");
});

it("a caller who takes what came before a close only after a while has all of it, and the close", async () => {
  const { upstream, server, url } = await bringUp({ timeouts: { socketClose: 100 } });
  const taken = once(server, "upgrade") as Promise<[unknown, Socket]>;
  const piece = Buffer.alloc(40 * 1024);
  const sockets = new WebSocketServer({ noServer: true });
  upstream.upgrade((request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (accepted) => {
      accepted.once("message", () => {
        accepted.send(piece);
        setTimeout(() => {
          accepted.send(piece);
          accepted.close(1000, "done");
        }, 100);
      });
    }),
  );
  const caller = new WebSocket(`${url.replace("http:", "ws:")}/fal.run/demo/echo/realtime`, {
    headers: { authorization: "Bearer ada" },
  });
  await once(caller, "open");
  const [, socket] = await taken;
  socket.cork();
  setTimeout(() => socket.uncork(), 500);
  caller.send("go");
  const seen: number[] = [];
  caller.on("message", (data: Buffer) => seen.push(data.length));
  expect((await once(caller, "close"))[0]).toBe(1000);
  expect(seen).toEqual([piece.length, piece.length]);
});

it("a call that waits behind another on its connection is stopped when the caller leaves", async () => {
  const { upstream, url } = await bringUp();
  upstream.answer(({ response }) => response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders());
  const { socket } = dial(url, 2);
  const { host, pathname } = new URL(url);
  const lines = headers.map(([name, value]) => `${name}: ${name === "x-fal-target-url" ? stream : value}\r\n`).join("");
  socket.write(`{}POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\n${lines}content-length: 2\r\n\r\n{}`);
  const both = [await upstream.next(), await upstream.next()];
  const closed = Promise.all(both.map(({ socket: one }) => closeOf(one)));
  socket.destroy();
  await closed;
});
