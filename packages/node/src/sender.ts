import { Duplex, Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { type Sender, type UpstreamAnswer, type UpstreamHead, type UpstreamRequest, valueOf } from "@keyway/core";
import type { Dispatcher } from "undici";
import { decodedHeaders, findDecoder } from "./decode.ts";
import { parsedHeaders, toFlat } from "./head.ts";
import { smallAnswer } from "./answer.ts";
import { smallBody } from "./request-body.ts";
import { createUpstreams } from "./upstream.ts";

/**
 * Sends for the web transport on Node: connections, times and raw header lines are undici's, without what global fetch adds to a
 * request, and without its giving up after 300 seconds. Idle connections do not keep the process alive.
 *
 * @example
 * const sender = createNodeSender();
 * const response = await keyway.fetch(request, { sender });
 */
export function createNodeSender(): Sender {
  const upstreams = createUpstreams();
  const unsent = new WeakSet<Error>();
  return {
    async send(up, body, signal) {
      const given = body instanceof ReadableStream ? await toBody(body, up, signal) : body;
      return new Promise((resolve, reject) => {
        const fail = (error: Error, sent: boolean): void => {
          if (!sent) unsent.add(error);
          reject(error);
        };
        if (signal.aborted) return fail(stopped(), false);
        try {
          const handler = createHandler(up, signal, resolve, fail);
          upstreams.pool(up.origin, up.timeouts.connect).dispatch(toOptions(up, given), handler);
        } catch (error) {
          fail(error instanceof Error ? error : new Error(String(error)), false);
        }
      });
    },
    wasSent: (error) => !(error instanceof Error && unsent.has(error)),
  };
}

/** undici counts the bytes that it holds; only of a stream does it need to be told the length. */
function toOptions(up: UpstreamRequest, body: Readable | Uint8Array | null): Dispatcher.DispatchOptions {
  const headers = body instanceof Readable ? up.headers : up.headers.filter(([name]) => name !== "content-length");
  return {
    origin: up.origin,
    path: up.path,
    method: up.method as Dispatcher.HttpMethod,
    headers: toFlat(headers),
    body: body instanceof Uint8Array ? Buffer.from(body.buffer, body.byteOffset, body.byteLength) : body,
    headersTimeout: up.timeouts.head,
    bodyTimeout: up.timeouts.idle,
  };
}

/** A small body of known length is read at once and sent in one write; every other one streams. */
async function toBody(
  stream: ReadableStream<Uint8Array>,
  up: UpstreamRequest,
  signal: AbortSignal,
): Promise<Readable | Uint8Array> {
  const length = up.headers.find(([name]) => name === "content-length")?.[1];
  if (length === undefined || Number(length) > smallBody) return Readable.fromWeb(stream as NodeStream);
  const reader = stream.getReader();
  const leave = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", leave, { once: true });
  const parts: Uint8Array[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
  }
  signal.removeEventListener("abort", leave);
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
}

/** How much of an answer is taken from upstream before the caller asks for it. */
const readAhead = new ByteLengthQueuingStrategy({ highWaterMark: 64 * 1024 });

/** One request on its way. There is no undici controller before it is on a connection. */
function createHandler(
  up: UpstreamRequest,
  signal: AbortSignal,
  answer: (answer: UpstreamAnswer) => void,
  fail: (error: Error, sent: boolean) => void,
): Dispatcher.DispatchHandler {
  let controller: Dispatcher.DispatchController | undefined;
  let body: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** A head whose body is small: what comes in one piece needs no stream. */
  let held: (UpstreamHead & { readonly length: number; whole: Uint8Array | undefined }) | undefined;
  let sent = false;
  let over = false;
  const abort = (): void => {
    if (controller === undefined) end(() => fail(stopped(), false));
    else controller.abort(stopped());
  };
  const end = (then: () => void): void => {
    if (over) return;
    over = true;
    signal.removeEventListener("abort", abort);
    then();
  };
  signal.addEventListener("abort", abort, { once: true });
  return {
    onRequestStart(started) {
      controller = started;
      sent = true;
      if (over) started.abort(stopped());
    },
    onResponseStart(started, status, parsed) {
      if (status < 200) return;
      const headers = parsedHeaders(parsed);
      if (!hasBody(up.method, status)) return answer({ status, headers, body: null });
      const length = Number(valueOf(headers, "content-length"));
      if (length <= smallAnswer && findDecoder(headers) === undefined)
        held = { status, headers, length, whole: undefined };
      else open(started, { status, headers });
    },
    onResponseData(started, chunk) {
      if (over) return;
      const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      if (held?.length === bytes.length) return void (held.whole = bytes);
      if (held !== undefined) open(started, held);
      body?.enqueue(bytes);
      if ((body?.desiredSize ?? 0) <= 0) started.pause();
    },
    onResponseEnd: () =>
      end(() => {
        if (held === undefined) body?.close();
        else answer({ status: held.status, headers: held.headers, body: held.whole ?? new Uint8Array(0) });
      }),
    onResponseError: (started, error) =>
      end(() => {
        if (held !== undefined) open(started, held);
        if (body === undefined) fail(error, sent);
        else body.error(error);
      }),
  };

  function open(started: Dispatcher.DispatchController, { status, headers }: UpstreamHead): void {
    held = undefined;
    const source: UnderlyingDefaultSource<Uint8Array> = {
      start: (given) => void (body = given),
      pull: () => started.resume(),
      cancel: () => end(() => started.abort(stopped())),
    };
    answer(decoded({ status, headers, body: new ReadableStream(source, readAhead) }));
  }
}

function decoded(answer: UpstreamAnswer & { readonly body: ReadableStream<Uint8Array> }): UpstreamAnswer {
  const create = findDecoder(answer.headers);
  if (create === undefined) return answer;
  const body = answer.body.pipeThrough(Duplex.toWeb(create()) as ReadableWritablePair<Uint8Array, Uint8Array>);
  return { status: answer.status, headers: decodedHeaders(answer.headers), body };
}

/** Whether such an answer may have a body at all: a Response cannot be made with one where it may not. */
function hasBody(method: string, status: number): boolean {
  return method !== "HEAD" && status !== 204 && status !== 205 && status !== 304;
}

/** A new one for each request, because it is remembered whether its request was sent. */
function stopped(): Error {
  return new Error("stopped by the proxy");
}
