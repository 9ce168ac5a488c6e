// The bench's fal.ai, in a process of its own and on raw sockets, so that it costs little. It refuses whatever lacks the injected key.
import { type Server, type Socket, createServer } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { createAuthority } from "../certificates.ts";
import { listenOnFreePort } from "../upstream.ts";
import { drained } from "./load/connection.ts";
import { type Asked, createRequestReader } from "./upstream-requests.ts";
import {
  acceptOf,
  eventAt,
  key,
  megabyte,
  messageDown,
  messageUp,
  microtime,
  pieceAt,
  statusBody,
  submitAnswer,
} from "./payload.ts";

let jobs = 0;
const streams = new Set<Socket>();
const closes: number[] = [];

function answer(socket: Socket, status: string, body: string, more = ""): void {
  const date = "date: Wed, 25 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\nx-fal-served-from: bench\r\n";
  const head = `HTTP/1.1 ${status}\r\n${date}content-type: application/json\r\n${more}content-length: ${body.length}\r\n\r\n`;
  socket.write(head + body, "latin1");
}

async function serve(socket: Socket, asked: Asked): Promise<void> {
  if (asked.authorization !== `Key ${key}`) return answer(socket, "401 Unauthorized", "no key");
  if (!asked.intact) return answer(socket, "422 Unprocessable Content", "the body is not what was sent");
  const { path } = asked;
  if (asked.websocketKey !== undefined) return echo(socket, asked.websocketKey);
  const poll = /^\/queue\.fal\.run\/fal-ai\/(flux|quick)\/requests\/([^/?]+)\/status(?:\?|$)/.exec(path);
  if (poll !== null)
    return answer(socket, "200 OK", statusBody(poll[2] ?? "", poll[1] === "flux" ? "IN_PROGRESS" : "COMPLETED"));
  if (path.startsWith("/queue.fal.run/fal-ai/")) {
    const id = `019e161b-386c-7d33-8e2f-${String((jobs += 1)).padStart(12, "0")}`;
    return answer(socket, "200 OK", submitAnswer(id), `x-fal-request-id: ${id}\r\n`);
  }
  const down = /^\/fal\.run\/fal-ai\/bulk\/down\/(\d+)$/.exec(path);
  if (down !== null) return pour(socket, Number(down[1]) * megabyte);
  if (path.startsWith("/fal.run/fal-ai/bulk/up")) return answer(socket, "200 OK", String(asked.bytes));
  if (path === "/fal.run/fal-ai/chat/stream") return stream(socket, true);
  if (path === "/fal.run/fal-ai/idle/stream") return stream(socket, false);
  answer(socket, "404 Not Found", path);
}

async function pour(socket: Socket, total: number): Promise<void> {
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: ${total}\r\n\r\n`);
  for (let sent = 0; sent < total && !socket.destroyed; sent += megabyte) {
    if (!socket.write(pieceAt(sent, megabyte))) await drained(socket);
  }
}

function stream(socket: Socket, lively: boolean): void {
  const event = eventAt(microtime());
  socket.write(
    `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n${event.length.toString(16)}\r\n${event}\r\n`,
  );
  if (lively) streams.add(socket);
  socket.once("close", () => {
    streams.delete(socket);
    closes.push(microtime());
  });
}

let turn = 0;
let told = microtime();

/** 20 events a second for every stream, spread evenly over time. */
function tick(): void {
  const now = microtime();
  const open = [...streams];
  const due = Math.floor(((now - told) * 20 * open.length) / 1e6);
  if (due === 0) return void (open.length === 0 && (told = now));
  told = now;
  for (let sent = 0; sent < Math.min(due, open.length); sent += 1) {
    const event = eventAt(microtime());
    open[(turn += 1) % open.length]?.write(`${event.length.toString(16)}\r\n${event}\r\n`, "latin1");
  }
}

function echo(socket: Socket, websocketKey: string): void {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(websocketKey)}\r\n\r\n`,
  );
  let held: Buffer = Buffer.alloc(0);
  socket.removeAllListeners("data").on("data", (chunk: Buffer) => {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    while (held.length >= messageUp.length) {
      if (!held.subarray(0, messageUp.length).equals(messageUp)) return void socket.destroy();
      held = held.subarray(messageUp.length);
      socket.write(messageDown);
    }
  });
}

function connect(socket: Socket): void {
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  const read = createRequestReader(socket, (asked) => void serve(socket, asked));
  socket.on("data", read);
}

async function listen(server: Server): Promise<number> {
  return listenOnFreePort(server);
}

const authority = createAuthority();
const plain = await listen(createServer({ noDelay: true }, connect));
const tls = await listen(createTlsServer({ ...authority.issue(["localhost"]), noDelay: true }, connect));
setInterval(tick, 1);
process.on("message", () => process.send?.({ closes: closes.splice(0) }));
process.on("disconnect", () => process.exit());
process.send?.({ plain: `http://127.0.0.1:${plain}`, tls: `https://localhost:${tls}`, ca: authority.cert });
