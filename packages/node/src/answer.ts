import { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Answer, HeaderList } from "@keyway/core";
import { toFlat } from "./head.ts";

/** Writes an answer of our own. */
export function sendAnswer(res: ServerResponse, { status, headers, body }: Answer): void {
  if (res.destroyed || res.headersSent) return;
  writeHead(res, status, headers);
  if (res.req.method === "HEAD") res.end();
  else endWith(res, body);
}

/** Bodies up to this many bytes are joined with their head. */
export const smallAnswer: number = 16 * 1024;

function endWith(res: ServerResponse, body: Uint8Array): void {
  if (body.length > smallAnswer) res.end(body);
  else endWithText(res, Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("latin1"));
}

/** Ends an answer with a small body, a character for each byte: Node joins text with the head and writes both at once. */
export function endWithText(res: ServerResponse, text: string): void {
  if (text === "") res.end();
  else res.end(text, "latin1");
}

/**
 * Writes a head in one pass over a flat list. Where middleware such as compression has put its own `writeHead` in place, which knows
 * no flat lists, the headers are set one by one; so they are beside cookies of the app's, which stay.
 */
export function writeHead(res: ServerResponse, status: number, headers: HeaderList): void {
  if (!Object.hasOwn(res, "writeHead") && !res.hasHeader("set-cookie")) {
    res.writeHead(status, toFlat(headers));
    return;
  }
  for (const [name] of headers) if (name !== "set-cookie") res.removeHeader(name);
  for (const [name, value] of headers) res.appendHeader(name, value);
  res.writeHead(status);
}

/**
 * Writes a piece of a body. Where it is all of what was read at once, its memory is given back as soon as it was sent: what lies
 * outside of V8's heap is else collected late. A `write` of somebody else's may keep what it is given.
 */
export function writePiece(res: ServerResponse, bytes: Uint8Array): boolean {
  const { buffer } = bytes;
  const whole = bytes.length >= largePiece && bytes.length === buffer.byteLength && buffer instanceof ArrayBuffer;
  if (!whole || res.write !== nativeWrite) return res.write(bytes);
  return res.write(bytes, (error) => {
    if (!error) buffer.transfer(0);
  });
}

const largePiece = 32 * 1024;
const nativeWrite: unknown = Reflect.get(ServerResponse.prototype, "write");

/**
 * Ends an answer so that its caller sees a break. To HTTP/1.0 the end of the connection is the end of the answer (RFC 9112, section 6.3), so
 * only a reset shows it.
 */
export function breakAnswer(res: ServerResponse): void {
  const { socket, req, headersSent } = res;
  const endsByClosing = headersSent && req.httpVersion === "1.0" && !res.hasHeader("content-length");
  if (endsByClosing && socket !== null && !("encrypted" in socket)) reset(socket);
  res.destroy();
}

function reset(socket: Socket): void {
  try {
    socket.resetAndDestroy();
  } catch {
    // What is no TCP connection, such as a pipe, knows no reset.
  }
}

/** Whether more may be written. */
export function isOpen(res: ServerResponse): boolean {
  return !res.destroyed && !res.closed && !res.writableEnded;
}
