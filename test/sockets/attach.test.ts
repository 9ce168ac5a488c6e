import { once } from "node:events";
import { type IncomingMessage, type Server, createServer } from "node:http";
import { type Socket, connect } from "node:net";
import type { Duplex } from "node:stream";
import { text } from "node:stream/consumers";
import { createKeyway } from "@keyway/core";
import { attach, attachOnLoad, attachToServers, createNodeProxy } from "@keyway/node";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { listenOnFreePort, startUpstream } from "../upstream.ts";

leaveNothingOpen();

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

/** An upstream that accepts and greets; counts what it was asked. */
async function startGreeter(): Promise<{ keyway: ReturnType<typeof createKeyway>; asked: string[] }> {
  const upstream = await startUpstream();
  const asked: string[] = [];
  const sockets = new WebSocketServer({ noServer: true });
  upstream.upgrade((request, socket, head) => {
    asked.push(request.url ?? "");
    sockets.handleUpgrade(request, socket, head, (accepted) => accepted.send("hello"));
  });
  closers.push(upstream.close);
  const options = { authorize: "public", endpoints: "any", upstream: upstream.option } as const;
  return { keyway: createKeyway({ ...options, timeouts: { handshake: 200, socketClose: 200 } }), asked };
}

async function start(server: Server): Promise<string> {
  const port = await listenOnFreePort(server);
  closers.push(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  return `ws://127.0.0.1:${port}`;
}

const path = "/api/fal/proxy/fal.run/demo/echo/realtime";

/** The first message, or the status of the refusal. */
async function connected(url: string): Promise<{ socket: WebSocket; said: string | number }> {
  const socket = new WebSocket(url);
  const said = await new Promise<string | number>((resolve, reject) => {
    socket.once("message", (data: Buffer) => resolve(data.toString()));
    socket.once("unexpected-response", (_request, response: IncomingMessage) => {
      response.destroy();
      resolve(response.statusCode ?? 0);
    });
    socket.once("error", reject);
  });
  closers.push(async () => socket.terminate());
  return { socket, said };
}

/** Answers a request with its path and body. */
function createEchoServer(): Server {
  return createServer((request, response) => {
    text(request).then(
      (body) => response.end(`[${request.url} ${body}]`),
      () => undefined,
    );
  });
}

/** curl's offer of HTTP/2 with a body, and a request behind it; a Node that cannot ask refuses the offer. */
async function expectPlain(server: Server, url: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1").setEncoding("utf8");
  const read = async (): Promise<string> => String((await once(socket, "data"))[0]);
  const offer = "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
  socket.write(`POST /one HTTP/1.1\r\nhost: x\r\n${offer}content-length: 5\r\n\r\n`);
  if (!isAsked(server)) expect(await read()).toMatch(/^HTTP\/1\.1 404 /);
  else {
    socket.write("first");
    expect(await read()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\[\/one first\]$/);
    socket.write("GET /two HTTP/1.1\r\nhost: x\r\n\r\n");
    expect(await read()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\[\/two \]$/);
  }
  socket.destroy();
}

/** Everything that is answered to these bytes. */
function answered(url: string, bytes: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  socket.write(bytes);
  return text(socket);
}

/** Whether this Node asks a server if an upgrade is one. */
function isAsked(server: Server): boolean {
  return "shouldUpgradeCallback" in server;
}

describe("attach(server, keyway)", () => {
  it("answers upgrades on a server where nobody listens for them, and leaves requests alone", async () => {
    const { keyway } = await startGreeter();
    const server = createServer((_request, response) => response.end("page"));
    attach(server, keyway);
    const url = await start(server);
    expect((await connected(url + path)).said).toBe("hello");
    expect(
      await fetch(url.replace("ws:", "http:"), { headers: { connection: "close" } }).then((got) => got.text()),
    ).toBe("page");
    expect((await connected(`${url}/chat`)).said).toBe(404);
  });

  it("what is no WebSocket stays a plain request, with its body and the next one behind it", async () => {
    const { keyway } = await startGreeter();
    const server = createEchoServer();
    attach(server, keyway);
    await expectPlain(server, await start(server));
  });

  it("what is no WebSocket reaches a listener that takes it, and an own choice of the app's is kept", async () => {
    const { keyway } = await startGreeter();
    const h2c = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n";
    const taken = createServer().on("upgrade", (_request, socket) => socket.end("HTTP/1.1 101 Mine\r\n\r\n"));
    const choosing = createServer({ shouldUpgradeCallback: () => false }, (_request, response) => response.end("page"));
    for (const server of [taken, choosing]) attach(server, keyway);
    expect(await answered(await start(taken), h2c)).toContain("101 Mine");
    const url = await start(choosing);
    expect(await answered(url, h2c)).toContain(isAsked(choosing) ? "page" : "404");
    if (isAsked(choosing)) expect((await connected(url + path)).said).toBe(200);
  });

  it("comes before a listener that destroys every upgrade, as Next does on its routes", async () => {
    const { keyway } = await startGreeter();
    const server = createServer().on("upgrade", (_request, socket) => socket.destroy());
    attach(server, keyway);
    expect((await connected((await start(server)) + path)).said).toBe("hello");
  });

  it("W13: an upgrade of another path reaches the other listeners untouched", async () => {
    const { keyway, asked } = await startGreeter();
    const other = new WebSocketServer({ noServer: true });
    const server = createServer();
    attach(server, keyway);
    server.on("upgrade", (request, socket, head) => {
      if (request.url === "/hmr") other.handleUpgrade(request, socket, head, (accepted) => accepted.send("mine"));
    });
    expect((await connected(`${await start(server)}/hmr`)).said).toBe("mine");
    expect(asked).toEqual([]);
  });

  it("what every listener leaves alone is answered 404 after a while", async () => {
    const { keyway } = await startGreeter();
    const server = createServer().on("upgrade", () => undefined);
    attach(server, keyway);
    expect((await connected(`${await start(server)}/nobody`)).said).toBe(404);
  });

  it.each(["attach", "upgrade"] as const)(
    "W80: a reset of what nobody answers does not end the process: %s",
    async (door) => {
      const { keyway } = await startGreeter();
      const server = createServer();
      if (door === "attach") attach(server, keyway);
      else server.on("upgrade", createNodeProxy(keyway).upgrade);
      const seen = Promise.withResolvers<Duplex>();
      server.on("upgrade", (_request, socket) => seen.resolve(socket));
      const caller = connect(Number(new URL(await start(server)).port), "127.0.0.1");
      caller.write("GET /nobody HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
      const socket = await seen.promise;
      expect(socket.listenerCount("error")).toBeGreaterThan(0);
      const closed = new Promise((resolve) => socket.once("close", resolve));
      caller.resetAndDestroy();
      expect(await closed).toBe(true);
    },
  );

  it("so does proxy.upgrade beside a listener that does not answer", async () => {
    const { keyway } = await startGreeter();
    const server = createServer().on("upgrade", () => undefined);
    server.on("upgrade", createNodeProxy(keyway).upgrade);
    expect((await connected(`${await start(server)}/nobody`)).said).toBe(404);
  });

  it("W14: attached and mounted several times, an upgrade is answered once", async () => {
    const { keyway, asked } = await startGreeter();
    const server = createServer();
    for (let times = 0; times < 3; times += 1) {
      attach(server, keyway);
      server.on("upgrade", createNodeProxy(keyway).upgrade);
    }
    const url = await start(server);
    const { socket, said } = await connected(url + path);
    expect(said).toBe("hello");
    expect(asked).toHaveLength(1);
    socket.close(1000);
    expect((await once(socket, "close"))[0]).toBe(1000);
  });

  it("W14: mounted twice by server.on, an upgrade is answered once", async () => {
    const { keyway, asked } = await startGreeter();
    const server = createServer();
    server.on("upgrade", createNodeProxy(keyway).upgrade).on("upgrade", createNodeProxy(keyway).upgrade);
    expect((await connected((await start(server)) + path)).said).toBe("hello");
    expect(asked).toHaveLength(1);
  });

  it("W14: two servers with one proxy each answer their own", async () => {
    const { keyway, asked } = await startGreeter();
    for (let count = 1; count <= 2; count += 1) {
      const server = createServer();
      attach(server, keyway);
      expect((await connected((await start(server)) + path)).said).toBe("hello");
      expect(asked).toHaveLength(count);
    }
  });

  it("the newest instance takes the place of an older one with the same path", async () => {
    const [older, newer] = [await startGreeter(), await startGreeter()];
    const server = createServer();
    attach(server, older.keyway);
    attach(server, newer.keyway);
    expect((await connected((await start(server)) + path)).said).toBe("hello");
    expect([older.asked.length, newer.asked.length]).toEqual([0, 1]);
  });

  it("W73: closing the server closes its sockets with 1001, so that it can close", async () => {
    const { keyway } = await startGreeter();
    const server = createServer();
    attach(server, keyway);
    const { socket } = await connected((await start(server)) + path);
    const gone = once(socket, "close");
    await new Promise((resolve) => server.close(resolve));
    expect((await gone)[0]).toBe(1001);
    closers.pop();
  });

  it("takes what holds a server too, and says what it needs", async () => {
    const { keyway } = await startGreeter();
    const server = createServer();
    attach({ server }, keyway);
    expect((await connected((await start(server)) + path)).said).toBe("hello");
    expect(() => attach({}, keyway)).toThrow("attach takes a server");
  });
});

describe("attachToServers(keyway)", () => {
  it("finds every HTTP server of the process, but not a root mount that may be an emulator", async () => {
    const { keyway, asked } = await startGreeter();
    attachToServers(keyway);
    const server = createServer((_request, response) => response.end("page"));
    const url = await start(server);
    expect((await connected(url + path)).said).toBe("hello");
    expect((await connected(`${url}/fal.run/demo/echo/realtime`)).said).toBe(404);
    expect(asked).toHaveLength(1);
    const other = createEchoServer();
    await expectPlain(other, await start(other));
  });
});

describe("attachOnLoad(server, load)", () => {
  it("lets the app be loaded before a handshake is decided", async () => {
    const { keyway } = await startGreeter();
    const server = createServer().on("upgrade", () => undefined);
    let loads = 0;
    attachOnLoad(server, async () => {
      loads += 1;
      attach(server, keyway);
    });
    const url = await start(server);
    expect((await connected(`${url}/other`)).said).toBe(404);
    expect(loads).toBe(0);
    expect((await connected(url + path)).said).toBe("hello");
    expect(loads).toBe(1);
  });

  it("an app that fails to load, and a caller who does not wait for it", async () => {
    const server = createServer().on("upgrade", () => undefined);
    const [asked, loading] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    attachOnLoad(server, () => {
      asked.resolve();
      return loading.promise;
    });
    const url = new URL(await start(server));
    const socket: Socket = connect(Number(url.port), "127.0.0.1");
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n`);
    await asked.promise;
    socket.resetAndDestroy();
    await once(socket, "close");
    loading.reject(new Error("a syntax error"));
  });
});
