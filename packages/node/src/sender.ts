import { Duplex, Readable } from "node:stream";
import type { ReadableStream as NodeStream } from "node:stream/web";
import { type Sender, type UpstreamAnswer, type UpstreamHead, type UpstreamRequest, valueOf } from "@keyway/core";
import type { Dispatcher } from "undici";
import { decodedHeaders, findDecoder } from "./decode.ts";
import { ReceivedHead, parsedHeaders, toFlat } from "./head.ts";
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
  const dispatch = (up: UpstreamRequest, body: Readable | Uint8Array | null, signal: AbortSignal) =>
    new Promise<UpstreamAnswer>((resolve, reject) => {
      const fail = (error: Error, sent: boolean): void => {
        if (!sent) unsent.add(error);
        reject(error);
      };
      if (signal.aborted) return fail(stopped(), false);
      try {
        const exchange = new UpstreamExchange(up.method, signal, resolve, fail);
        upstreams.pool(up.origin, up.timeouts.connect).dispatch(toOptions(up, body), exchange);
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)), false);
      }
    });
  return {
    send: (up, body, signal) =>
      body instanceof ReadableStream
        ? toBody(body, up, signal).then((given) => dispatch(up, given, signal))
        : dispatch(up, body, signal),
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

/** One request on its way. A class, and a listener of the signal itself, for the reason that is given at `AdmittedCall` of the core. */
class UpstreamExchange implements Dispatcher.DispatchHandler, EventListenerObject {
  readonly #method: string;
  readonly #signal: AbortSignal;
  readonly #answer: (answer: UpstreamAnswer) => void;
  readonly #fail: (error: Error, sent: boolean) => void;
  /** There is none before the request is on a connection. */
  #controller: Dispatcher.DispatchController | undefined = undefined;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined = undefined;
  /** A head whose body is small: what comes in one piece needs no stream. */
  #held: UpstreamHead | undefined = undefined;
  #length = 0;
  #whole: Uint8Array | undefined = undefined;
  #over = false;

  constructor(
    method: string,
    signal: AbortSignal,
    answer: (answer: UpstreamAnswer) => void,
    fail: (error: Error, sent: boolean) => void,
  ) {
    this.#method = method;
    this.#signal = signal;
    this.#answer = answer;
    this.#fail = fail;
    signal.addEventListener("abort", this);
  }

  /** The signal was aborted. */
  handleEvent(): void {
    if (this.#controller !== undefined) this.#controller.abort(stopped());
    else if (this.#end()) this.#fail(stopped(), false);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#over) controller.abort(stopped());
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, parsed: ParsedHeaders): void {
    if (status < 200) return;
    const head = new ReceivedHead(status, parsedHeaders(parsed));
    if (!hasBody(this.#method, status)) return this.#answer(new WholeAnswer(head, null));
    this.#length = Number(valueOf(head.headers, "content-length"));
    if (this.#length <= smallAnswer && findDecoder(head.headers) === undefined) this.#held = head;
    else this.#open(head);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#over) return;
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    if (this.#held !== undefined) {
      if (bytes.length === this.#length) return void (this.#whole = bytes);
      this.#open(this.#held);
    }
    this.#body?.enqueue(bytes);
    if ((this.#body?.desiredSize ?? 0) <= 0) controller.pause();
  }

  onResponseEnd(): void {
    if (!this.#end()) return;
    if (this.#held === undefined) this.#body?.close();
    else this.#answer(new WholeAnswer(this.#held, this.#whole ?? new Uint8Array(0)));
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#end()) return;
    if (this.#held !== undefined) this.#open(this.#held);
    if (this.#body === undefined) this.#fail(error, this.#controller !== undefined);
    else this.#body.error(error);
  }

  #open({ status, headers }: UpstreamHead): void {
    this.#held = undefined;
    const source: UnderlyingDefaultSource<Uint8Array> = {
      start: (body) => void (this.#body = body),
      pull: () => this.#controller?.resume(),
      cancel: () => void (this.#end() && this.#controller?.abort(stopped())),
    };
    this.#answer(decoded({ status, headers, body: new ReadableStream(source, readAhead) }));
  }

  /** Whether it goes on until now. */
  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#signal.removeEventListener("abort", this);
    return true;
  }
}

type ParsedHeaders = Parameters<typeof parsedHeaders>[0];

/** An answer that needs no stream. */
class WholeAnswer extends ReceivedHead implements UpstreamAnswer {
  readonly body: Uint8Array | null;

  constructor({ status, headers }: UpstreamHead, body: Uint8Array | null) {
    super(status, headers);
    this.body = body;
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
