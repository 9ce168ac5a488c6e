import { createHash, type Hash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { HeaderLine } from "./answer.ts";
import type { Call, CallKind } from "./call.ts";

/** How an exchange ended: with the whole answer, by the caller's leaving, or broken off by the emulator (a fault). */
export type CallEnd = "answered" | "left" | "broken";

/** A request as it reached the emulator. It is listed when its head is read; the rest fills in as it comes. */
export interface RecordedCall {
  readonly kind: CallKind;
  readonly method: string;
  /** The request target as sent. */
  readonly url: string;
  /** The Host header as sent. */
  readonly host: string;
  /** Path on fal's host, without the query: the prefix, if any, is taken off. */
  readonly path: string;
  /** `owner/alias[/path]`, or `""`. */
  readonly endpoint: string;
  /** Header lines as sent: order, case and repeats kept. */
  readonly headers: readonly HeaderLine[];
  /** The body's first bytes, up to the option `recordedBytes`. */
  readonly body: Uint8Array;
  /** The body's full length so far. */
  readonly bytes: number;
  /** Hex SHA-256 of the full body; `""` until it has ended. */
  readonly sha256: string;
  /** The status answered (101 for a socket), or undefined as yet. */
  readonly status: number | undefined;
  /** Undefined while the exchange lasts. */
  readonly end: CallEnd | undefined;
  /** Resolves with `end`. */
  readonly ended: Promise<CallEnd>;
}

/** Writes down one call as it happens. */
export interface CallRecorder {
  readonly call: RecordedCall;
  chunk(bytes: Uint8Array): void;
  bodyEnd(): void;
  answer(status: number): void;
  finish(end: CallEnd): void;
}

export interface Calls {
  readonly list: readonly RecordedCall[];
  open(request: IncomingMessage, call: Call): CallRecorder;
  /** The next call to arrive that matches. */
  next(matches: (call: RecordedCall) => boolean): Promise<RecordedCall>;
  clear(): void;
}

/** Body bytes of all recorded calls. */
interface Held {
  bytes: number;
}

type Writable = { -readonly [Key in keyof RecordedCall]: RecordedCall[Key] };

/** How many calls and how many bytes of their bodies are kept; the oldest go first. */
const kept = { calls: 10_000, bytes: 256 * 1024 * 1024 };

export function createCalls(recordedBytes: number): Calls {
  const list: RecordedCall[] = [];
  const held: Held = { bytes: 0 };
  let waiting: { readonly matches: (call: RecordedCall) => boolean; readonly take: (call: RecordedCall) => void }[] =
    [];
  return {
    list,
    open(request, call) {
      const recorder = createRecorder(request, call, { recordedBytes, held });
      list.push(recorder.call);
      while (list.length > kept.calls || held.bytes > kept.bytes) held.bytes -= list.shift()?.body.length ?? held.bytes;
      const taken = waiting.filter(({ matches }) => matches(recorder.call));
      waiting = waiting.filter((entry) => !taken.includes(entry));
      for (const { take } of taken) take(recorder.call);
      return recorder;
    },
    next: (matches) => new Promise((take) => waiting.push({ matches, take })),
    clear() {
      list.length = 0;
      held.bytes = 0;
    },
  };
}

function createRecorder(
  request: IncomingMessage,
  call: Call,
  { recordedBytes, held }: { readonly recordedBytes: number; readonly held: Held },
): CallRecorder {
  let settle: (end: CallEnd) => void = () => undefined;
  const ended = new Promise<CallEnd>((resolve) => {
    settle = resolve;
  });
  const record: Writable = {
    kind: call.kind,
    method: request.method ?? "",
    url: request.url ?? "",
    host: request.headers.host ?? "",
    path: call.path,
    endpoint: call.endpoint,
    headers: toLines(request.rawHeaders),
    body: new Uint8Array(0),
    bytes: 0,
    sha256: "",
    status: undefined,
    end: undefined,
    ended,
  };
  const hash: Hash = createHash("sha256");
  return {
    call: record,
    chunk(bytes) {
      hash.update(bytes);
      const room = recordedBytes - record.body.length;
      if (room > 0) {
        const part = bytes.subarray(0, room);
        record.body = Buffer.concat([record.body, part]);
        held.bytes += part.length;
      }
      record.bytes += bytes.length;
    },
    bodyEnd() {
      record.sha256 ||= hash.digest("hex");
    },
    answer(status) {
      record.status = status;
    },
    finish(end) {
      record.end ??= end;
      settle(record.end);
    },
  };
}

/** Node's flat list of names and values as pairs. */
export function toLines(rawHeaders: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) lines.push([rawHeaders[at] ?? "", rawHeaders[at + 1] ?? ""]);
  return lines;
}
