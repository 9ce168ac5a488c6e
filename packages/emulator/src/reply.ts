import { json, toBytes, type Answer, type HeaderLine } from "./answer.ts";

const mark: unique symbol = Symbol.for("keyway.emulator.reply");

/** What an app answers when a JSON output with status 200 does not say it all. Made by {@link reply}. */
export interface Reply extends Answer {
  readonly [mark]: true;
}

/** See {@link reply}. */
export interface ReplyOptions {
  /** HTTP status; 200 by default. */
  readonly status?: number;
  /** Header lines, as a record or as a list (so that a name can occur twice). */
  readonly headers?: Readonly<Record<string, string>> | readonly HeaderLine[];
  /** Bytes or a series of bytes go out as they are, a string as UTF-8 text, everything else as JSON. Empty by default. */
  readonly body?: unknown;
}

/**
 * An answer with a status, headers and body of the app's choosing: for errors, pictures, compressed or endless bodies.
 * An app may return it or throw it.
 *
 * @example
 * emulator.app("demo/teapot", () => reply({ status: 418, body: { detail: "short and stout" } }));
 */
export function reply(options: ReplyOptions = {}): Reply {
  const { status = 200, headers = [], body } = options;
  const given = isList(headers) ? headers : Object.entries(headers);
  const lines = given.map(([name, value]): HeaderLine => [name.toLowerCase(), value]);
  const { bytes, contentType } = toBody(body);
  const typed = contentType === undefined || lines.some(([name]) => name === "content-type");
  return { status, headers: typed ? lines : [["content-type", contentType], ...lines], body: bytes, [mark]: true };
}

export function isReply(value: unknown): value is Reply {
  return typeof value === "object" && value !== null && mark in value;
}

function toBody(body: unknown): { bytes: Answer["body"]; contentType: string | undefined } {
  if (body === undefined) return { bytes: new Uint8Array(0), contentType: undefined };
  if (body instanceof Uint8Array) return { bytes: body, contentType: "application/octet-stream" };
  if (typeof body === "string") return { bytes: toBytes(body), contentType: "text/plain; charset=utf-8" };
  if (isSeries(body)) return { bytes: body, contentType: "application/octet-stream" };
  return { bytes: json(200, body).body, contentType: "application/json" };
}

function isList(headers: NonNullable<ReplyOptions["headers"]>): headers is readonly HeaderLine[] {
  return Array.isArray(headers);
}

function isSeries(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}
