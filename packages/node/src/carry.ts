import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { type AnswerHead, type Ending, type Exchange, type Rewriter, isReset } from "@keyway/core";
import type { Dispatcher } from "undici";
import { toFlat, toHeaderList } from "./head.ts";
import { type HandleContext, type Runtime, bodyConsumed, sendAnswer, writeHead } from "./http.ts";
import { collectBody, smallBody, streamBody } from "./request-body.ts";

/** One exchange on its way. Whoever ends it first, ends it: see {@link finish}. */
interface Run {
  readonly exchange: Exchange;
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  controller: Dispatcher.DispatchController | undefined;
  /** Set when the request reached a connection: from then on upstream may have got it. */
  sent: boolean;
  /** Set when upstream's head was passed to the exchange. */
  answer: AnswerHead | undefined;
  collected: Buffer[];
  collectedBytes: number;
  rewriter: Rewriter | undefined;
  /** Why our side broke it off, if it did. */
  broken: "left" | "stopped" | "cut" | undefined;
  /** The caller's body on its way, where it is streamed. */
  upload: Readable | undefined;
  attempts: number;
  timer: NodeJS.Timeout | undefined;
  meter: NodeJS.Timeout | undefined;
  ended: boolean;
  bytesIn: number;
  bytesOut: number;
  readonly done: () => void;
}

/** Carries an exchange out. Resolves when it is over, whichever way. */
export async function carryOut(
  exchange: Exchange,
  req: IncomingMessage,
  res: ServerResponse,
  context: HandleContext,
  runtime: Runtime,
): Promise<void> {
  return new Promise((resolve) => {
    const run: Run = {
      exchange,
      req,
      res,
      controller: undefined,
      sent: false,
      answer: undefined,
      collected: [],
      collectedBytes: 0,
      rewriter: undefined,
      broken: undefined,
      upload: undefined,
      attempts: 0,
      timer: undefined,
      meter: undefined,
      ended: false,
      bytesIn: 0,
      bytesOut: 0,
      done: () => {
        runtime.open.delete(entry);
        resolve();
      },
    };
    const entry = { cut: () => breakOff(run, "cut") };
    runtime.open.add(entry);
    res.on("close", () => onCallerClose(run));
    if (res.closed || res.destroyed) onCallerClose(run);
    prepareBody(run, context).then(
      (body) => dispatch(run, body, runtime),
      (error: unknown) => fail(run, "unsent", error),
    );
  });
}

type Body = Readable | Uint8Array | null;

async function prepareBody(run: Run, context: HandleContext): Promise<Body> {
  const { up } = run.exchange;
  if (up.body !== "stream") return count(run, up.body);
  if (context.body !== undefined && !(context.body instanceof Uint8Array)) throw bodyConsumed(context.body.lost);
  if (context.body !== undefined) return count(run, context.body);
  const { "content-length": length, "transfer-encoding": coding } = run.req.headers;
  const limits = { maxBytes: up.maxBodyBytes, stallMs: up.timeouts.body };
  if (coding === undefined && (length === undefined || length === "0")) return null;
  if (coding === undefined && Number(length) <= smallBody) return count(run, await collectBody(run.req, limits));
  run.upload = streamBody(run.req, limits, (bytes) => {
    run.bytesIn += bytes;
  });
  return run.upload;
}

function count(run: Run, body: Uint8Array | null): Uint8Array | null {
  run.bytesIn += body?.length ?? 0;
  return body;
}

function dispatch(run: Run, body: Body, runtime: Runtime): void {
  const { up } = run.exchange;
  if (run.ended) return void run.upload?.destroy();
  if (run.broken !== undefined) return finish(run, run.broken === "left" ? "left" : "cut");
  const headers =
    body instanceof Uint8Array || body === null ? up.headers.filter(([name]) => name !== "content-length") : up.headers;
  run.attempts += 1;
  try {
    runtime.upstreams.pool(up.origin, up.timeouts.connect).dispatch(
      {
        origin: up.origin,
        path: up.path,
        method: up.method as Dispatcher.HttpMethod,
        headers: toFlat(headers),
        body: body instanceof Uint8Array ? Buffer.from(body.buffer, body.byteOffset, body.byteLength) : body,
        headersTimeout: up.timeouts.head,
        bodyTimeout: up.timeouts.idle,
      },
      handlerOf(run, body, runtime),
    );
  } catch (error) {
    fail(run, "unsent", error);
  }
}

/** undici wants all five methods; there is no controller before the request is on a connection. */
function handlerOf(run: Run, body: Body, runtime: Runtime): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      run.controller = controller;
      run.sent = true;
      if (run.broken !== undefined) controller.abort(new Error("broken off"));
    },
    onResponseStart(controller, status) {
      if (status < 200) return;
      const raw = (controller.rawHeaders ?? []) as readonly (string | Buffer)[];
      onHead(run, run.exchange.head({ status, headers: toHeaderList(raw) }));
    },
    onResponseData: (controller, chunk) => onData(run, controller, chunk),
    onResponseEnd: () => onEnd(run),
    onResponseError(_controller, error) {
      const retries =
        run.exchange.up.repeatable &&
        run.attempts === 1 &&
        run.sent &&
        run.answer === undefined &&
        run.broken === undefined;
      if (retries && isReset(error)) dispatch(run, body, runtime);
      else onError(run, error);
    },
  };
}

function onHead(run: Run, answer: AnswerHead): void {
  const { res, exchange } = run;
  const { body } = answer;
  run.answer = answer;
  if (body instanceof Uint8Array) {
    sendAnswer(res, { type: "answer", status: answer.status, headers: answer.headers, body });
    run.bytesOut = body.length;
    run.controller?.abort(new Error("answered by the proxy"));
    return finish(run, "complete");
  }
  if (typeof body === "object" && "collect" in body) return;
  if (typeof body === "object") run.rewriter = body.rewrite;
  if (!isOpen(res)) return;
  writeHead(res, answer.status, answer.headers);
  if (answer.flush) res.flushHeaders();
  if (exchange.meter !== undefined) startMeter(run, exchange.meter);
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
  if (answer.body === "none" || !isOpen(res)) return;
  const bytes = run.rewriter === undefined ? chunk : run.rewriter.push(chunk);
  if (bytes.length === 0) return;
  run.bytesOut += bytes.length;
  if (res.write(bytes)) return;
  controller.pause();
  const { idle } = run.exchange.up.timeouts;
  run.timer = setTimeout(() => breakOff(run, "cut"), idle);
  res.once("drain", () => {
    clearTimeout(run.timer);
    controller.resume();
  });
}

function onEnd(run: Run): void {
  const { answer, res, exchange } = run;
  if (answer === undefined || run.ended) return;
  if (typeof answer.body === "object" && "collect" in answer.body) {
    exchange.collected(Buffer.concat(run.collected)).then(
      (collected) => {
        run.bytesOut = collected.body.length;
        run.answer = { ...collected, flush: false };
        sendAnswer(res, { type: "answer", ...collected });
        finish(run, "complete");
      },
      (error: unknown) => fail(run, "unanswered", error),
    );
    return;
  }
  const rest = run.rewriter?.end();
  run.bytesOut += rest?.length ?? 0;
  if (isOpen(res)) {
    if (rest !== undefined && rest.length > 0) res.end(rest);
    else res.end();
  }
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
  run.answer = { status: answer.status, headers: answer.headers, body: answer.body, flush: false };
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
  if (run.controller !== undefined) run.controller.abort(new Error("broken off"));
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
  const status = run.res.headersSent ? run.answer?.status : undefined;
  const incomplete = run.exchange.up.body === "stream" && !run.req.complete;
  run.exchange.end(ending, { status, bytesIn: run.bytesIn, bytesOut: run.bytesOut, error, incomplete });
  run.done();
}

function isOpen(res: ServerResponse): boolean {
  return !res.destroyed && !res.closed && !res.writableEnded;
}
