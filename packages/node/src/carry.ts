import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import {
  type AnswerHead,
  type CollectedAnswer,
  type Ending,
  type Exchange,
  type HeaderList,
  type Rewriter,
  isPending,
  isReset,
  valueOf,
} from "@keyway/core";
import type { Dispatcher } from "undici";
import { ReceivedHead, parsedHeaders, toFlat } from "./head.ts";
import { endWithText, isOpen, sendAnswer, smallAnswer, writeHead, writePiece } from "./answer.ts";
import { type HandleContext, type Runtime, bodyConsumed } from "./http.ts";
import { collectBody, smallBody, streamBody } from "./request-body.ts";

type Body = Readable | Uint8Array | null;

/**
 * One exchange on its way, which is also what undici tells of it. Whoever ends it first, ends it: see {@link finish}. A class for the
 * reason that is given at `Admitted` of the core.
 */
class Run implements Dispatcher.DispatchHandler {
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
  timer: NodeJS.Timeout | undefined = undefined;
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
    breakOff(this, "cut");
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
    if (repeats && isReset(error)) dispatch(this, this.body);
    else onError(this, error);
  }
}

/** Why upstream's connection is closed from our side. Made once: an error takes a trace of the stack. */
const brokenOff = new Error("broken off by the proxy");
const answeredHere = new Error("answered by the proxy");

/** Carries an exchange out. Resolves when it is over, whichever way. */
export function carryOut(
  exchange: Exchange,
  req: IncomingMessage,
  res: ServerResponse,
  given: HandleContext["body"],
  runtime: Runtime,
): Promise<void> {
  return new Promise((resolve) => {
    const run = new Run(exchange, req, res, runtime, resolve);
    runtime.open.add(run);
    res.on("close", () => onCallerClose(run));
    if (res.closed || res.destroyed) onCallerClose(run);
    try {
      const body = readBody(run, given);
      if (!(body instanceof Promise)) return dispatch(run, body);
      body.then(
        (bytes) => dispatch(run, count(run, bytes)),
        (error: unknown) => fail(run, "unsent", error),
      );
    } catch (error) {
      fail(run, "unsent", error);
    }
  });
}

function readBody(run: Run, given: HandleContext["body"]): Body | Promise<Uint8Array> {
  const { up } = run.exchange;
  if (up.body !== "stream") return count(run, up.body);
  if (given instanceof Uint8Array) return count(run, given);
  if (given !== undefined) throw bodyConsumed(given.lost);
  const { "content-length": length, "transfer-encoding": coding } = run.req.headers;
  const limits = { maxBytes: up.maxBodyBytes, stallMs: up.timeouts.body };
  if (coding === undefined && (length === undefined || length === "0")) return null;
  if (coding === undefined && Number(length) <= smallBody) return collectBody(run.req, limits);
  run.upload = streamBody(run.req, limits, (bytes) => {
    run.bytesIn += bytes;
  });
  return run.upload;
}

function count<T extends Uint8Array | null>(run: Run, body: T): T {
  run.bytesIn += body?.length ?? 0;
  return body;
}

function dispatch(run: Run, body: Body): void {
  const { up } = run.exchange;
  if (run.ended) return void run.upload?.destroy();
  if (run.broken !== undefined) return finish(run, run.broken === "left" ? "left" : "cut");
  run.body = body;
  run.attempts += 1;
  try {
    run.runtime.upstreams.pool(up.origin, up.timeouts.connect).dispatch(
      {
        origin: up.origin,
        path: up.path,
        method: up.method as Dispatcher.HttpMethod,
        headers: toFlat(up.headers, body instanceof Uint8Array || body === null ? "content-length" : undefined),
        body: body instanceof Uint8Array ? Buffer.from(body.buffer, body.byteOffset, body.byteLength) : body,
        headersTimeout: up.timeouts.head,
        bodyTimeout: up.timeouts.idle,
      },
      run,
    );
  } catch (error) {
    fail(run, "unsent", error);
  }
}

function onHead(run: Run, answer: AnswerHead, headers: HeaderList): void {
  const { res, exchange } = run;
  const { body } = answer;
  run.answer = answer;
  run.status = answer.status;
  if (body instanceof Uint8Array) {
    sendAnswer(res, { type: "answer", status: answer.status, headers: answer.headers, body });
    run.bytesOut = body.length;
    // First, because aborting tells of an error at once, and whoever is told of one before the end breaks off the answer.
    finish(run, "complete");
    run.controller?.abort(answeredHere);
    return;
  }
  if (typeof body === "object" && "collect" in body) return;
  if (typeof body === "object") run.rewriter = body;
  if (exchange.meter !== undefined) startMeter(run, exchange.meter);
  const length = body === "none" ? undefined : Number(valueOf(headers, "content-length"));
  if (!answer.flush && length !== undefined && length <= smallAnswer) run.awaited = length;
  else startAnswer(run, answer);
}

/** The head, before a body that comes in pieces; in one write with what was read together with it. */
function startAnswer(run: Run, { status, headers, flush }: AnswerHead): void {
  if (!isOpen(run.res)) return;
  writeHead(run.res, status, headers);
  if (flush) process.nextTick(flushHead, run);
}

/** In case nothing was read with the head: it waits for no event. */
function flushHead({ res, bytesOut }: Run): void {
  if (bytesOut === 0 && isOpen(res)) res.flushHeaders();
}

function onData(run: Run, controller: Dispatcher.DispatchController, chunk: Buffer): void {
  const { answer, res } = run;
  if (answer === undefined || run.ended) return;
  if (typeof answer.body === "object" && "collect" in answer.body) {
    run.collected.push(chunk);
    run.collectedBytes += chunk.length;
    if (run.collectedBytes > answer.body.collect)
      controller.abort(new Error(`the answer is larger than ${answer.body.collect} bytes`));
    return;
  }
  if (answer.body === "none") return;
  if (run.awaited !== undefined) {
    if (run.awaited === chunk.length) return void (run.whole = chunk);
    run.awaited = undefined;
    startAnswer(run, answer);
  }
  if (!isOpen(res)) return;
  const bytes = run.rewriter === undefined ? chunk : run.rewriter.push(chunk);
  if (bytes.length === 0) return;
  run.bytesOut += bytes.length;
  if (writePiece(res, bytes)) return;
  controller.pause();
  const { idle } = run.exchange.up.timeouts;
  run.timer = setTimeout(() => breakOff(run, "cut"), idle);
  res.once("drain", () => {
    clearTimeout(run.timer);
    controller.resume();
  });
}

function onEnd(run: Run): void {
  const { answer, res } = run;
  if (answer === undefined || run.ended) return;
  if (typeof answer.body === "object" && "collect" in answer.body) return onCollected(run);
  if (run.awaited !== undefined) sendWhole(run, answer);
  else {
    const rest = run.rewriter?.end();
    run.bytesOut += rest?.length ?? 0;
    if (isOpen(res)) {
      if (rest !== undefined && rest.length > 0) res.end(rest);
      else res.end();
    }
  }
  finish(run, "complete");
}

/** A small body that has come in one piece goes out with its head, and with the length that it has when it was rewritten. */
function sendWhole(run: Run, { status, headers }: AnswerHead): void {
  const { res, rewriter, whole } = run;
  const given = whole?.toString("latin1") ?? "";
  const text = rewriter === undefined ? given : rewriter.whole(given);
  run.bytesOut += text.length;
  if (!isOpen(res)) return;
  const sized = valueOf(headers, "content-length") !== undefined;
  writeHead(res, status, sized ? headers : [...headers, ["content-length", String(text.length)]]);
  endWithText(res, text);
}

function onCollected(run: Run): void {
  const { exchange, collected: parts } = run;
  const [only] = parts;
  const collected = exchange.collected(parts.length === 1 && only !== undefined ? only : Buffer.concat(parts));
  if (!isPending(collected)) return sendCollected(run, collected);
  collected.then(
    (answer) => sendCollected(run, answer),
    (error: unknown) => fail(run, "unanswered", error),
  );
}

function sendCollected(run: Run, collected: CollectedAnswer): void {
  const { status, headers, body } = collected;
  run.bytesOut = body.length;
  run.status = status;
  sendAnswer(run.res, { type: "answer", status, headers, body });
  finish(run, "complete");
}

function onError(run: Run, error: unknown): void {
  if (run.ended) return;
  if (run.broken === "left") return finish(run, "left");
  const { answer } = run;
  const unanswered = answer === undefined || (typeof answer.body === "object" && "collect" in answer.body);
  if (unanswered && run.broken === undefined) return fail(run, run.sent ? "unanswered" : "unsent", error);
  run.res.destroy();
  finish(run, run.broken ?? "cut", error);
}

/** No answer came from upstream, so the exchange says what the caller gets. A body that broke never made a whole request. */
function fail(run: Run, ending: "unsent" | "unanswered", error: unknown): void {
  if (run.ended) return;
  const honest = isBodyError(error) ? "unsent" : ending;
  const answer = run.exchange.failed(honest, error);
  run.status = answer.status;
  sendAnswer(run.res, answer);
  finish(run, run.broken === "left" ? "left" : honest, error);
}

function isBodyError(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "string" && error.code.startsWith("body_");
}

/** The caller left: submit and cancel go on, because their effect must be known; everything else stops at once. */
function onCallerClose(run: Run): void {
  if (run.ended || run.res.writableFinished) return;
  if (run.exchange.whenCallerLeaves === "abort") return breakOff(run, "left");
  run.exchange.callerLeft();
  run.timer ??= setTimeout(() => breakOff(run, "left"), run.exchange.finishWithin);
}

/** Stops an exchange from our side: upstream is closed, and a caller who is still there sees a break. */
function breakOff(run: Run, why: "left" | "stopped" | "cut"): void {
  if (run.ended || run.broken !== undefined) return;
  run.broken = why;
  if (why !== "left") run.res.destroy();
  if (run.controller !== undefined) run.controller.abort(brokenOff);
  else finish(run, why);
}

function startMeter(run: Run, meter: NonNullable<Exchange["meter"]>): void {
  run.meter = setInterval(() => {
    meter.tick().then(
      (answer) => {
        if (answer === "stop") breakOff(run, "stopped");
      },
      () => breakOff(run, "stopped"),
    );
  }, meter.everyMs);
}

/** The one end of every exchange. */
function finish(run: Run, ending: Ending, error?: unknown): void {
  if (run.ended) return;
  run.ended = true;
  clearTimeout(run.timer);
  clearInterval(run.meter);
  run.upload?.destroy();
  const status = run.res.headersSent ? run.status : undefined;
  const incomplete = run.exchange.up.body === "stream" && !run.req.complete;
  run.exchange.end(ending, { status, bytesIn: run.bytesIn, bytesOut: run.bytesOut, error, incomplete });
  run.runtime.open.delete(run);
  run.done();
}
