import type { Socket } from "node:net";
import { pieceAt, submitBody } from "./payload.ts";

/** One request as far as the bench looks at it; its body has come whole. */
export interface Asked {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly websocketKey: string | undefined;
  /** Bytes of the body. */
  readonly bytes: number;
  /** The body is, byte for byte, what the load sends. */
  readonly intact: boolean;
}

interface Underway {
  readonly path: string;
  readonly head: string;
  readonly length: number;
  bytes: number;
  intact: boolean;
}

const submit = Buffer.from(submitBody);
const slowPauseMs = 2;

/** Reads HTTP/1.1 requests with a content-length, one after the other; answers the function that takes bytes. */
export function createRequestReader(socket: Socket, serve: (asked: Asked) => void): (chunk: Buffer) => void {
  let held: Buffer = Buffer.alloc(0);
  let current: Underway | undefined;

  function readHead(chunk: Buffer): Buffer {
    const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
    const end = bytes.indexOf("\r\n\r\n");
    held = end < 0 ? bytes : bytes.subarray(0, 0);
    if (end < 0) return held.subarray(0, 0);
    const head = bytes.toString("latin1", 0, end + 2);
    const from = head.indexOf(" ") + 1;
    const length = Number(valueIn(head, "content-length") ?? 0);
    if (/\r\ntransfer-encoding:/i.test(head)) throw new Error(`a peer sent ${head.slice(0, 40)} chunked`);
    current = { path: head.slice(from, head.indexOf(" ", from)), head, length, bytes: 0, intact: true };
    return bytes.subarray(end + 4);
  }

  function readBody(asked: Underway, chunk: Buffer): Buffer {
    const part = chunk.subarray(0, asked.length - asked.bytes);
    asked.intact &&= isAsSent(asked, part);
    asked.bytes += part.length;
    if (part.length > 0 && asked.path.endsWith("/up-slow")) rest(socket);
    return chunk.subarray(part.length);
  }

  return (chunk) => {
    let bytes = chunk;
    for (;;) {
      if (current === undefined) bytes = readHead(bytes);
      if (current === undefined) return;
      bytes = readBody(current, bytes);
      if (current.bytes < current.length) return;
      const { path, head, bytes: count, intact } = current;
      current = undefined;
      const [authorization, websocketKey] = [valueIn(head, "authorization"), valueIn(head, "sec-websocket-key")];
      serve({ path, authorization, websocketKey, bytes: count, intact });
      if (bytes.length === 0) return;
    }
  };
}

function isAsSent({ path, bytes }: Underway, part: Buffer): boolean {
  if (path.startsWith("/fal.run/fal-ai/bulk/up")) return part.equals(pieceAt(bytes, part.length));
  if (!path.startsWith("/queue.fal.run/")) return true;
  return part.equals(submit.subarray(bytes, bytes + part.length));
}

/** A slow reader: it pauses after every piece. */
function rest(socket: Socket): void {
  socket.pause();
  setTimeout(() => socket.resume(), slowPauseMs);
}

const patterns = new Map<string, RegExp>();

function valueIn(head: string, name: string): string | undefined {
  let pattern = patterns.get(name);
  if (pattern === undefined) patterns.set(name, (pattern = new RegExp(`\\r\\n${name}: *([^\\r]*)\\r\\n`, "i")));
  return pattern.exec(head)?.[1];
}
