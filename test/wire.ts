import { type ClientRequest, type IncomingMessage, request as startRequest } from "node:http";

/** One header line as it stands on the wire. */
export type HeaderLine = readonly [name: string, value: string];

/** What a caller sends: header lines go out as they are given. */
export interface Sent {
  readonly method?: string;
  readonly headers?: readonly HeaderLine[];
  /** Sent with a content-length. */
  readonly body?: string | Uint8Array;
  /** Sent chunked, one chunk each. */
  readonly chunks?: Iterable<Uint8Array>;
}

/** The whole answer as it stood on the wire. */
export interface Received {
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly body: Buffer;
  /** True when the connection broke before the answer's end. */
  readonly broken: boolean;
}

/** An answer whose head is here and whose body is still coming. */
export interface Incoming {
  readonly status: number;
  readonly headers: readonly HeaderLine[];
  readonly response: IncomingMessage;
  /** The next piece of the body; null at its end; rejects when the connection breaks. */
  readonly read: () => Promise<Buffer | null>;
  /** Reads until so many bytes are here, or the end. */
  readonly readUntil: (bytes: number) => Promise<Buffer>;
  readonly rest: () => Promise<Received>;
  /** Drops the connection. */
  readonly leave: () => void;
}

/** Sends a request on a connection of its own and waits for the whole answer. */
export async function send(url: string, sent: Sent = {}): Promise<Received> {
  return (await open(url, sent)).rest();
}

/** Sends a request and waits for the head of the answer. */
export async function open(url: string, sent: Sent = {}): Promise<Incoming> {
  const request = start(url, sent);
  const response = await answerTo(request);
  return toIncoming(request, response);
}

/** Sends a request without waiting for anything. */
export function start(url: string, { method = "GET", headers = [], body, chunks }: Sent): ClientRequest {
  const record = toRecord(headers);
  if (body !== undefined) record["content-length"] ??= String(Buffer.byteLength(body));
  const request = startRequest(url, { method, agent: false, headers: record });
  request.on("error", () => undefined);
  if (chunks !== undefined) {
    for (const chunk of chunks) request.write(chunk);
    request.end();
  } else request.end(body);
  return request;
}

/** The head of the answer; rejects when there is none. */
export function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
    request.once("close", () => reject(new Error("the connection was closed without an answer")));
  });
}

export function toIncoming(request: ClientRequest, response: IncomingMessage): Incoming {
  const iterator: AsyncIterator<Buffer> = response[Symbol.asyncIterator]();
  const head = { status: response.statusCode ?? 0, headers: toLines(response.rawHeaders) };
  const read = async (): Promise<Buffer | null> => {
    const { done, value } = await iterator.next();
    return done === true ? null : value;
  };
  async function collect(until: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    let bytes = 0;
    while (bytes < until) {
      const part = await read();
      if (part === null) break;
      parts.push(part);
      bytes += part.length;
    }
    return Buffer.concat(parts);
  }
  return {
    ...head,
    response,
    read,
    readUntil: collect,
    async rest() {
      const parts: Buffer[] = [];
      try {
        for (let part = await read(); part !== null; part = await read()) parts.push(part);
        return { ...head, body: Buffer.concat(parts), broken: !response.complete };
      } catch {
        return { ...head, body: Buffer.concat(parts), broken: true };
      }
    },
    leave: () => request.destroy(),
  };
}

/** Node's flat list of names and values as pairs. */
export function toLines(raw: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) lines.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  return lines;
}

/** A header's only value; undefined when it is missing, an error when it is repeated. */
export function valueIn(headers: readonly HeaderLine[], name: string): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  if (values.length > 1) throw new Error(`${name} was sent ${values.length} times`);
  return values[0];
}

function toRecord(lines: readonly HeaderLine[]): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (const [name, value] of lines) {
    const before = record[name];
    record[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return record;
}
