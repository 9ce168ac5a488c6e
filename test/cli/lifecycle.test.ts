import { closeSync, openSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { freePort } from "../store/redis-server.ts";
import { type Upstream, startUpstream } from "../upstream.ts";
import { createSigner } from "../webhooks/signer.ts";
import { type HeaderLine, type Incoming, open, send } from "../wire.ts";
import { type Command, type Surroundings, leadTo, settings, start, startGateway, token } from "./command.ts";

leaveNothingOpen();

type Gateway = Command & { readonly url: string };

const json = { "content-type": "application/json" };
const authorization = `Bearer ${token}`;

async function stage(surroundings: Surroundings = {}): Promise<{ upstream: Upstream; gateway: Gateway }> {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  const env = { ...leadTo(upstream), KEYWAY_DRAIN: "15", ...surroundings.env };
  return { upstream, gateway: await startGateway([], { ...surroundings, env }) };
}

function call(endpoint: string): { method: string; headers: HeaderLine[]; body: string } {
  const headers: HeaderLine[] = [
    ["x-fal-target-url", `https://fal.run/${endpoint}`],
    ["authorization", authorization],
    ["content-type", "application/json"],
  ];
  return { method: "POST", headers, body: "{}" };
}

function run({ url }: Pick<Gateway, "url">): ReturnType<typeof send> {
  return send(url, call("demo/echo"));
}

/** Whether anybody takes connections at the gateway's port. */
async function takesConnections({ url }: Gateway): Promise<boolean> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  const taken = await new Promise<boolean>((resolve) => {
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  socket.destroy();
  return taken;
}

async function terminate(gateway: Gateway): Promise<void> {
  gateway.child.kill("SIGTERM");
  await gateway.line(/Closing when open calls have ended/);
  while (await takesConnections(gateway)) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Takes any handshake and goes on holding the socket. */
function acceptSockets(upstream: Upstream): void {
  upstream.upgrade((request, socket) => {
    const text = `${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    const accept = createHash("sha1").update(text).digest("base64");
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
  });
}

const slowHandler = `export default {
  webhooks: {
    url: "http://127.0.0.1/hooks/fal",
    async onResult() {
      console.log("handler begins");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      console.log("handler ends");
    },
  },
};`;

async function openStream({ upstream, gateway }: Awaited<ReturnType<typeof stage>>): Promise<{
  stream: Incoming;
  end: () => void;
}> {
  let end = (): void => undefined;
  upstream.answer(({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    end = () => void response.end("data: 2\n\n");
  });
  const stream = await open(gateway.url, call("demo/echo/stream"));
  await stream.readUntil(9);
  return { stream, end: () => end() };
}

describe("F25: SIGTERM takes no new connections, lets open calls end, and exits with 0", () => {
  it("idle, with a connection that is kept alive", async () => {
    const { gateway } = await stage();
    const idle = connect(Number(new URL(gateway.url).port), "127.0.0.1");
    idle.write("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    await once(idle, "data");
    const closed = once(idle, "close");
    await terminate(gateway);
    await closed;
    expect(await gateway.exit).toEqual({ code: 0, signal: null });
  });

  it("during JSON", async () => {
    const { upstream, gateway } = await stage();
    let answer = (): void => undefined;
    upstream.answer(({ response }) => {
      answer = () => void response.writeHead(200, json).end('{"late":true}');
    });
    const called = run(gateway);
    await upstream.next();
    await terminate(gateway);
    answer();
    expect((await called).body.toString()).toBe('{"late":true}');
    expect(await gateway.exit).toEqual({ code: 0, signal: null });
    expect(gateway.said()).toContain("Closed: 1 calls ended, 0 were cut off.");
  });

  it("during a stream of events", async () => {
    const staged = await stage();
    const { stream, end } = await openStream(staged);
    await terminate(staged.gateway);
    end();
    const { body, broken } = await stream.rest();
    expect([body.toString(), broken]).toEqual(["data: 2\n\n", false]);
    expect(await staged.gateway.exit).toEqual({ code: 0, signal: null });
  });

  it("during a stream that does not end: it breaks when the time is over", async () => {
    const staged = await stage({ env: { KEYWAY_DRAIN: "0.2" } });
    const { stream } = await openStream(staged);
    await terminate(staged.gateway);
    expect((await stream.rest()).broken).toBe(true);
    expect(await staged.gateway.exit).toEqual({ code: 0, signal: null });
    expect(staged.gateway.said()).toContain("Closed: 0 calls ended, 1 were cut off.");
  });

  it("during a webhook's handler", async () => {
    const { upstream, gateway } = await stage({ files: { "keyway.config.mjs": slowHandler } });
    const signer = createSigner();
    upstream.answer(({ url, response }) => {
      if (url.endsWith("/jwks.json")) response.writeHead(200, json).end(JSON.stringify(signer.jwks));
      else response.writeHead(200, json).end('{"request_id":"req-1"}');
    });
    const target = "https://queue.fal.run/demo/echo";
    const submitted = await send(gateway.url, {
      ...call("demo/echo"),
      headers: [["x-fal-target-url", target], ...call("").headers.slice(1)],
    });
    expect(submitted.status).toBe(200);
    const { url } = await upstream.next();
    const door = new URL(new URL(url, upstream.url).searchParams.get("fal_webhook") ?? "");
    const body = Buffer.from('{"request_id":"req-1","gateway_request_id":"req-1","status":"OK","payload":{"a":1}}');
    const headers: HeaderLine[] = [["content-type", "application/json"], ...Object.entries(signer.headers(body))];
    const delivered = send(new URL(door.pathname + door.search, gateway.url).href, { method: "POST", headers, body });
    await gateway.line(/handler begins/);
    await terminate(gateway);
    expect((await delivered).status).toBe(200);
    expect(await gateway.exit).toEqual({ code: 0, signal: null });
    expect(gateway.said()).toMatch(/handler ends[^]*Closed: 1 calls ended, 0 were cut off/);
  });

  it("with a WebSocket: both sides are told 1001", async () => {
    const { upstream, gateway } = await stage();
    acceptSockets(upstream);
    const url = `${gateway.url.replace("http", "ws")}/fal.run/demo/realtime/realtime`;
    const socket = new WebSocket(url, { headers: { authorization } });
    await once(socket, "open");
    const closed = once(socket, "close");
    await terminate(gateway);
    expect((await closed)[0]).toBe(1001);
    expect(await gateway.exit).toEqual({ code: 0, signal: null });
  });
});

it.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("F26: a second %s ends at once with %i", async (signal, code) => {
  const staged = await stage();
  const { stream } = await openStream(staged);
  await terminate(staged.gateway);
  staged.gateway.child.kill(signal);
  expect(await staged.gateway.exit).toEqual({ code, signal: null });
  expect((await stream.rest()).broken).toBe(true);
});

it("F28: 500 connections at 128 open files are answered or refused, and then all is well", async () => {
  const { gateway } = await stage({ through: ["sh", "-c", 'ulimit -n 128 && exec "$@"', "sh"] });
  const { port, host } = new URL(gateway.url);
  const head = `POST /api/fal/proxy HTTP/1.1\r\nhost: ${host}\r\n`;
  const lines = call("demo/echo").headers.map(([name, value]) => `${name}: ${value}\r\n`);
  const sockets = Array.from({ length: 500 }, () => connect(Number(port), "127.0.0.1"));
  const answers = await Promise.all(
    sockets.map((socket) => firstLine(socket, `${head}${lines.join("")}content-length: 2\r\n\r\n{}`)),
  );
  for (const socket of sockets) socket.destroy();
  const known = [undefined, "HTTP/1.1 200 OK", "HTTP/1.1 502 Bad Gateway", "HTTP/1.1 500 Internal Server Error"];
  expect(answers.filter((line) => !known.includes(line))).toEqual([]);
  expect(answers.filter((line) => line === undefined).length).toBeGreaterThan(300);
  expect(answers.filter((line) => line !== undefined).length).toBeGreaterThan(0);
  for (;;) {
    const answer = await run(gateway).catch(() => undefined);
    if (answer?.status === 200) break;
    expect(gateway.child.exitCode).toBeNull();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  gateway.child.kill("SIGTERM");
  expect(await gateway.exit).toEqual({ code: 0, signal: null });
});

/** The first line of the answer; undefined when the connection was refused, broken, or not taken within two seconds. */
function firstLine(socket: Socket, request: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.on("error", () => resolve(undefined)).on("close", () => resolve(undefined));
    socket.once("data", (bytes: Buffer) => resolve(bytes.toString("latin1").split("\r\n", 1)[0]));
    setTimeout(resolve, 2000, undefined);
    socket.write(request);
  });
}

describe("F29: nobody can hear it, and it goes on", () => {
  const config = { "keyway.config.mjs": "export default { log: true };" };

  it("standard output and error are closed by their reader", async () => {
    const { gateway } = await stage({ files: config });
    gateway.child.stdout?.destroy();
    gateway.child.stderr?.destroy();
    for (let left = 20; left > 0; left -= 1) expect((await run(gateway)).status).toBe(200);
    gateway.child.kill("SIGTERM");
    expect(await once(gateway.child, "exit")).toEqual([0, null]);
  });

  it("the disk is full", async () => {
    const full = openSync("/dev/full", "w");
    onTestFinished(() => closeSync(full));
    const port = await freePort();
    const upstream = await startUpstream();
    onTestFinished(() => upstream.close());
    const env = { ...settings, ...leadTo(upstream), KEYWAY_PORT: String(port) };
    const { child, exit } = start(["serve", "--log"], { env, stdout: full });
    const gateway = { url: `http://127.0.0.1:${port}/api/fal/proxy` };
    while ((await run(gateway).catch(() => undefined))?.status !== 200)
      await new Promise((resolve) => setTimeout(resolve, 50));
    for (let left = 20; left > 0; left -= 1) expect((await run(gateway)).status).toBe(200);
    child.kill("SIGTERM");
    expect(await exit).toEqual({ code: 0, signal: null });
  });
});
