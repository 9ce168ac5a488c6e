import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { type AnswerHead, type Ending, type Exchange, type Rewriter, isReset } from "@keyway/core";
import type { Dispatcher } from "undici";
import { breakAnswer, sendAnswer } from "./answer.ts";
import { ReceivedHead, parsedHeaders, toFlat } from "./head.ts";
import { onData, onEnd, onHead } from "./respond.ts";
import type { Runtime } from "./runtime.ts";

/** What goes upstream as a body. */
export type Body = Readable | Uint8Array | null;

/**
 * One exchange on its way, which is also what undici tells of it. Whoever ends it first, ends it: see {@link Run.finish}. A class for the
 * reason that is given at `AdmittedCall` of the core.
 */
export class Run implements Dispatcher.DispatchHandler {
  readonly exchange: Exchange;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly runtime: Runtime;
  readonly done: () => void;
  /** For `runtime.open`. */
  place = -1;
  controller: Dispatcher.DispatchController | undefined = undefined;
  /** Set when the request reached a connection: from then on upstream may have got it. */
  sent = false;
  body: Body = null;
  /** Set when upstream's head was passed to the exchange. */
  answer: AnswerHead | undefined = undefined;
  /** What the caller is answered with. */
  status: number | undefined = undefined;
  /** Length of a small body whose head waits for it, so that both go in one write. */
  awaited: number | undefined = undefined;
  /** Such a body, all of it. */
  whole: Buffer | undefined = undefined;
  collected: Buffer[] = [];
  collectedBytes = 0;
  rewriter: Rewriter | undefined = undefined;
  /** Why our side broke it off, if it did. */
  broken: "left" | "stopped" | "cut" | undefined = undefined;
  /** The caller's body on its way, where it is streamed. */
  upload: Readable | undefined = undefined;
  attempts = 0;
  /** How long the caller may take nothing of his answer. */
  stall: NodeJS.Timeout | undefined = undefined;
  /** Set with the first piece that he did not take at once. */
  awaitsDrain = false;
  /** How long a submit or cancel may go on without its caller. */
  finishing: NodeJS.Timeout | undefined = undefined;
  meter: NodeJS.Timeout | undefined = undefined;
  ended = false;
  bytesIn = 0;
  bytesOut = 0;

  constructor(exchange: Exchange, req: IncomingMessage, res: ServerResponse, runtime: Runtime, done: () => void) {
    this.exchange = exchange;
    this.req = req;
    this.res = res;
    this.runtime = runtime;
    this.done = done;
  }

  cut(): void {
    if (this.ended) this.req.socket.destroy();
    else this.breakOff("cut");
  }

  /** There is no controller before the request is on a connection. */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller;
    this.sent = true;
    if (this.broken !== undefined) controller.abort(brokenOff);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return;
    const head = new ReceivedHead(status, parsedHeaders(headers));
    onHead(this, this.exchange.head(head), head.headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    onData(this, controller, chunk);
  }

  onResponseEnd(): void {
    onEnd(this);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    const { exchange, attempts, sent, answer, broken } = this;
    const repeats = exchange.up.repeatable && attempts === 1 && sent && answer === undefined && broken === undefined;
    if (repeats && isReset(error)) return this.dispatch(this.body);
    if (this.ended) return;
    if (broken === "left") return this.finish("left");
    const unanswered = answer === undefined || (typeof answer.body === "object" && "collect" in answer.body);
    if (unanswered && broken === undefined) return this.fail(sent ? "unanswered" : "unsent", error);
    breakAnswer(this.res);
    this.finish(broken ?? "cut", error);
  }

  /** Sends the request, unless the exchange has come to its end while its body was read. */
  dispatch(body: Body): void {
    const { up } = this.exchange;
    if (this.ended) return void this.upload?.destroy();
    if (this.broken !== undefined) return this.finish(this.broken === "left" ? "left" : "cut");
    this.body = body;
    this.attempts += 1;
    try {
      this.runtime.upstreams.pool(up.origin, up.timeouts.connect).dispatch(
        {
          origin: up.origin,
          path: up.path,
          method: up.method as Dispatcher.HttpMethod,
          headers: toFlat(up.headers, body instanceof Uint8Array || body === null ? "content-length" : undefined),
          body: body instanceof Uint8Array ? Buffer.from(body.buffer, body.byteOffset, body.byteLength) : body,
          headersTimeout: up.timeouts.head,
          bodyTimeout: up.timeouts.idle,
        },
        this,
      );
    } catch (error) {
      this.fail("unsent", error);
    }
  }

  /** Stops an exchange from our side: upstream is closed, and a caller who is still there sees a break. */
  breakOff(why: "left" | "stopped" | "cut"): void {
    if (this.ended || this.broken !== undefined) return;
    this.broken = why;
    if (why !== "left") breakAnswer(this.res);
    if (this.controller !== undefined) this.controller.abort(brokenOff);
    else this.finish(why);
  }

  /** No answer came from upstream, so the exchange says what the caller gets. A body that broke never made a whole request. */
  fail(ending: "unsent" | "unanswered", error: unknown): void {
    if (this.ended) return;
    const honest = isBodyError(error) ? "unsent" : ending;
    const answer = this.exchange.failed(honest, error);
    this.status = answer.status;
    sendAnswer(this.res, answer);
    this.finish(this.broken === "left" ? "left" : honest, error);
  }

  /** The one end of every exchange. */
  finish(ending: Ending, error?: unknown): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.stall);
    clearTimeout(this.finishing);
    clearInterval(this.meter);
    this.upload?.destroy();
    const status = this.res.headersSent ? this.status : undefined;
    const incomplete = !this.sent || (this.exchange.up.body === "stream" && !this.req.complete);
    this.exchange.end(ending, { status, bytesIn: this.bytesIn, bytesOut: this.bytesOut, error, incomplete });
    this.#leave();
    this.done();
  }

  /** It is under way until the last of its answer has left: a response is finished when its bytes are the socket's, which may hold them. */
  #leave(): void {
    const { socket } = this.res;
    const { open } = this.runtime;
    // A socket of HTTP/2 is not to be written to.
    const holds = socket?.writable === true && socket.writableLength > 0 && this.req.httpVersionMajor === 1;
    if (holds) socket.write("", () => open.delete(this));
    else open.delete(this);
  }
}

/** Why upstream's connection is closed from our side. Made once: an error takes a trace of the stack. */
const brokenOff = new Error("broken off by the proxy");

function isBodyError(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("body_");
}
