import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type Answer, type HeaderList, ProxyError } from "@keyway/core";

/** How long a caller may take to read a refusal before the connection is cut. Milliseconds. */
const lingering = 1000;

/** Writes an HTTP answer on a raw socket and closes it. */
export function writeAnswer(socket: Duplex, { status, headers, body }: Answer): void {
  if (socket.destroyed) return;
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nconnection: close\r\n${lines}\r\n`, "latin1");
  socket.end(body);
  const timer = setTimeout(() => socket.destroy(), lingering).unref();
  socket.once("close", () => clearTimeout(timer));
}

/** The answer to a handshake that is refused before `plan` is asked. */
export function toRefusal(error: ProxyError | undefined): Answer {
  const refusal = error ?? new ProxyError("internal");
  const body = Buffer.from(JSON.stringify({ message: refusal.message, detail: refusal.message, code: refusal.code }));
  const headers: HeaderList = [
    ["content-type", "application/json"],
    ["content-length", String(body.length)],
    ["cache-control", "no-store, private"],
    ...refusal.headers,
  ];
  return { type: "answer", status: refusal.status, headers, body };
}
