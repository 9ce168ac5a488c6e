import { type Socket, connect } from "node:net";
import type { HeaderLine } from "../wire.ts";

/** One answer as it stood on the wire. */
export interface Reply {
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly body: Buffer;
  /** False when the connection ended before the answer did. */
  readonly whole: boolean;
}

/** A caller's connection: bytes go out as they are given. */
export interface Line {
  readonly socket: Socket;
  write(bytes: string | Uint8Array): void;
  /** The next whole answer, or what there is of it when the connection ends; undefined when nothing came. */
  reply(): Promise<Reply | undefined>;
  /** Resolves when so many bytes of the current answer's body are here; false when the connection ended before. */
  body(bytes: number): Promise<boolean>;
  /** Resolves when an answer's head is here. */
  head(): Promise<number | undefined>;
  /** Bytes of the current answer's body so far. */
  soFar(): Buffer;
  readonly closed: Promise<void>;
  /** All answers until the connection ends or says nothing for a while; the first may take longer. */
  replies(quietMs: number, firstMs?: number): Promise<Reply[]>;
  leave(): void;
}

/** Connects to a proxy; every byte that comes back is shown to `look`. */
export async function openLine(port: number, look: (bytes: Buffer) => void, method = "POST"): Promise<Line> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  let parser = createReplyParser(method === "HEAD");
  let ended = false;
  const wake: (() => void)[] = [];
  const news = (): void => {
    for (const take of wake.splice(0)) take();
  };
  const closed = new Promise<void>((resolve) => {
    const end = (): void => {
      if (ended) return;
      ended = true;
      parser.end();
      resolve();
      news();
      socket.destroy();
    };
    socket.on("error", end).on("close", end).on("end", end);
  });
  socket.on("data", (bytes) => {
    look(bytes);
    parser.push(bytes);
    news();
  });
  const until = async (test: () => boolean): Promise<void> => {
    while (!test() && !ended) await new Promise<void>((resolve) => wake.push(resolve));
  };
  const take = (): Reply | undefined => {
    const reply = parser.reply();
    const rest = parser.rest();
    parser = createReplyParser(method === "HEAD");
    parser.push(rest);
    if (ended) parser.end();
    return reply;
  };
  const line: Line = {
    socket,
    write: (bytes) => void (socket.writable && socket.write(bytes)),
    async reply() {
      await until(() => parser.isWhole());
      return take();
    },
    async body(bytes) {
      await until(() => parser.bodyBytes() >= bytes);
      return parser.bodyBytes() >= bytes;
    },
    async head() {
      await until(() => parser.status() !== undefined);
      return parser.status();
    },
    soFar: () => parser.body(),
    closed,
    async replies(quietMs, firstMs = firstReplyMs) {
      const all: Reply[] = [];
      for (;;) {
        const timer = setTimeout(() => socket.destroy(), all.length === 0 ? firstMs : quietMs);
        await until(() => parser.isWhole());
        clearTimeout(timer);
        const reply = take();
        if (reply === undefined) return all;
        all.push(reply);
      }
    },
    leave: () => void socket.resetAndDestroy(),
  };
  return line;
}

/** The first answer may take its time on a busy machine. */
const firstReplyMs = 3000;

interface ReplyParser {
  push(bytes: Buffer): void;
  end(): void;
  isWhole(): boolean;
  status(): number | undefined;
  bodyBytes(): number;
  body(): Buffer;
  reply(): Reply | undefined;
  rest(): Buffer;
}

/** Reads an answer as strictly as a browser would at least (RFC 9112, section 6). Interim answers are passed over. */
function createReplyParser(headless: boolean): ReplyParser {
  let buffer: Buffer = Buffer.alloc(0);
  let head: { status: number; headers: HeaderLine[] } | undefined;
  let framing: "none" | "length" | "chunked" | "close" = "none";
  let left = 0;
  let whole = false;
  let bodyBytes = 0;
  const parts: Buffer[] = [];

  function keep(bytes: Buffer): void {
    parts.push(bytes);
    bodyBytes += bytes.length;
  }

  function readHead(): boolean {
    const at = buffer.indexOf("\r\n\r\n");
    if (at < 0) return false;
    const [first = "", ...lines] = buffer.subarray(0, at).toString("latin1").split("\r\n");
    buffer = buffer.subarray(at + 4);
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? Number.NaN);
    if (status < 200 && status !== 101) return true;
    const headers = lines.map((line): HeaderLine => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    });
    head = { status, headers };
    const length = one(headers, "content-length");
    if (headless || status === 204 || status === 304 || status === 101) whole = true;
    else if (one(headers, "transfer-encoding") === "chunked") framing = "chunked";
    else if (length !== undefined) {
      framing = "length";
      left = Number(length);
      whole = left === 0;
    } else framing = "close";
    return !whole;
  }

  /** True when there may be more to read in the buffer. */
  function readBody(): boolean {
    if (buffer.length === 0) return false;
    if (framing === "chunked" && left === 0) return readChunkSize();
    const bytes = framing === "close" ? buffer : buffer.subarray(0, left);
    buffer = buffer.subarray(bytes.length);
    keep(bytes);
    if (framing === "close") return false;
    left -= bytes.length;
    if (framing === "length") whole = left === 0;
    else if (left === 0) left = -2;
    return !whole && buffer.length > 0;
  }

  function readChunkSize(): boolean {
    const at = buffer.indexOf("\r\n");
    if (at < 0) return false;
    left = Number.parseInt(buffer.subarray(0, at).toString("latin1"), 16);
    buffer = buffer.subarray(at + 2);
    if (Number.isNaN(left)) throw new Error("the proxy sent a bad chunk");
    if (left > 0) return true;
    const end = buffer.indexOf("\r\n");
    whole = end >= 0;
    if (whole) buffer = buffer.subarray(end + 2);
    return false;
  }

  function step(): boolean {
    if (head === undefined) return readHead();
    if (left === -2) {
      if (buffer.length < 2) return false;
      buffer = buffer.subarray(2);
      left = 0;
      return true;
    }
    return readBody();
  }

  return {
    push(bytes) {
      if (bytes.length === 0) return;
      buffer = buffer.length === 0 ? bytes : Buffer.concat([buffer, bytes]);
      while (!whole && step());
    },
    end() {
      if (head !== undefined && framing === "close") whole = true;
    },
    isWhole: () => whole,
    status: () => head?.status,
    bodyBytes: () => bodyBytes,
    body: () => Buffer.concat(parts),
    reply: () => (head === undefined ? undefined : { ...head, body: Buffer.concat(parts), whole }),
    rest: () => (whole ? buffer : Buffer.alloc(0)),
  };
}

/** The value of a header that may stand once; a repeat is an error, as it is to a careful reader. */
function one(headers: readonly HeaderLine[], name: string): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  if (values.length > 1) throw new Error(`the proxy sent ${name} ${values.length} times`);
  return values[0];
}
