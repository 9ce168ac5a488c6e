import { collectStream, limitStream } from "./body-stream.ts";
import { ProxyError } from "./errors.ts";
import type { Settings } from "./options.ts";
import { plan } from "./plan.ts";
import { type Sender, type UpstreamAnswer, createFetchSender, isReset, rootOf, toHeaders } from "./sender.ts";
import type { Answer, AnswerHead, Door, Ending, Exchange } from "./seam.ts";

/** What a web-standard host knows beside the Request. */
export interface FetchContext {
  /** Handed to `authorize` as `native`. */
  readonly native?: unknown;
  /** The peer's address, where the host tells it. */
  readonly address?: string | undefined;
  /** The mount path, when the host knows it exactly. */
  readonly mount?: string | undefined;
  /** What sends requests upstream; default global fetch. */
  readonly sender?: Sender | undefined;
  /** The setting with which the host itself bounds request bodies: named in the refusal when it cut one off. */
  readonly hostLimit?: string | undefined;
  /** Keeps a serverless process alive after the answer. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
}

const fetchSender = createFetchSender();

/** The web transport: Request in, Response out, sent by fetch or what the host brings. */
export async function answerRequest(request: Request, context: FetchContext, settings: Settings): Promise<Response> {
  const door = createDoor(request, context, settings);
  const decided = await plan(door, settings);
  if (decided.type === "answer") return toResponse(decided);
  return carryOut(decided, door, request, context);
}

function createDoor(request: Request, context: FetchContext, settings: Settings): Door {
  const url = new URL(request.url);
  const query = /\?([^#]*)/.exec(request.url)?.[1];
  return {
    head: {
      method: request.method,
      path: url.pathname,
      query: query ?? null,
      mount: context.mount,
      headers: [...request.headers],
      address: context.address,
      secure: url.protocol === "https:",
      upgrade: false,
    },
    native: context.native,
    codings: "identity",
    closing: false,
    body: (maxBytes) =>
      collectStream(request.body, {
        maxBytes,
        within: settings.timeouts.callerBody,
        announced: lengthOf(request),
        hostLimit: context.hostLimit,
      }),
    isGone: () => request.signal.aborted,
    waitUntil: (work) => {
      if (context.waitUntil === undefined) work.catch(() => undefined);
      else context.waitUntil(work);
    },
  };
}

function toResponse({ status, headers, body }: Answer): Response {
  return new Response(body.length === 0 ? null : new Uint8Array(body), { status, headers: toHeaders(headers) });
}

/** One exchange under way: what was counted, and the switch that ends it. */
interface Run {
  readonly exchange: Exchange;
  readonly sender: Sender;
  readonly hostLimit: string | undefined;
  readonly abort: AbortController;
  bytesIn: number;
  bytesOut: number;
  status: number | undefined;
  /** Going on without the caller ends here. */
  patience: ReturnType<typeof setTimeout> | undefined;
}

async function carryOut(exchange: Exchange, door: Door, request: Request, context: FetchContext): Promise<Response> {
  const abort = new AbortController();
  const run: Run = {
    exchange,
    sender: context.sender ?? fetchSender,
    hostLimit: context.hostLimit,
    abort,
    bytesIn: 0,
    bytesOut: 0,
    status: undefined,
    patience: undefined,
  };
  const leave = (): void => {
    if (exchange.whenCallerLeaves === "abort") abort.abort(callerLeft);
    else {
      exchange.callerLeft();
      run.patience = setTimeout(() => abort.abort(callerLeft), exchange.finishWithin);
    }
  };
  if (request.signal.aborted) leave();
  else request.signal.addEventListener("abort", leave, { once: true });
  const answered = answerOver(run, request);
  if (exchange.whenCallerLeaves === "finish") door.waitUntil(answered);
  return answered;
}

/** Why an exchange was stopped from our side. */
const callerLeft = new Error("the caller left");
const meterStopped = new Error("the caller may no longer call");

async function answerOver(run: Run, request: Request): Promise<Response> {
  const { exchange, abort } = run;
  let upstream: UpstreamAnswer;
  try {
    upstream = await dispatch(run, request);
  } catch (error) {
    return fail(run, error);
  }
  const head = exchange.head(upstream);
  run.status = head.status;
  if (typeof head.body === "object" && "collect" in head.body) return answerCollected(run, upstream, head.body.collect);
  if (head.body === "none" || head.body instanceof Uint8Array) {
    abort.abort();
    finish(run, "complete");
    return toResponse({
      type: "answer",
      status: head.status,
      headers: head.headers,
      body: head.body === "none" ? new Uint8Array(0) : head.body,
    });
  }
  const body = upstream.body === null ? null : passThrough(run, upstream.body, head.body, request.signal);
  if (body === null) finish(run, "complete");
  return new Response(body, { status: head.status, headers: toHeaders(head.headers) });
}

async function dispatch(run: Run, request: Request): Promise<UpstreamAnswer> {
  const { up } = run.exchange;
  const timer = setTimeout(
    () => run.abort.abort(new DOMException("fal.ai did not answer in time", "TimeoutError")),
    up.timeouts.head,
  );
  const count = (bytes: number): void => {
    run.bytesIn += bytes;
  };
  const given = up.body === "stream" ? bodyOf(request) : up.body;
  const limits = {
    maxBytes: up.maxBodyBytes,
    within: up.timeouts.body,
    announced: lengthOf(request),
    hostLimit: run.hostLimit,
    count,
  };
  const body = given instanceof ReadableStream ? limitStream(given, limits) : given;
  if (body instanceof Uint8Array) count(body.length);
  try {
    return await run.sender.send(up, body, run.abort.signal);
  } catch (error) {
    if (!up.repeatable || run.abort.signal.aborted || !isReset(error)) throw error;
    return await run.sender.send(up, body, run.abort.signal);
  } finally {
    clearTimeout(timer);
  }
}

function lengthOf(request: Request): number | undefined {
  const length = request.headers.get("content-length");
  return length === null ? undefined : Number(length);
}

/** A body that is there in name only is none, so that it goes upstream with a length of 0. */
function bodyOf(request: Request): ReadableStream<Uint8Array> | null {
  return request.headers.get("content-length") === "0" ? null : request.body;
}

async function answerCollected(run: Run, upstream: UpstreamAnswer, limit: number): Promise<Response> {
  let bytes: Uint8Array;
  try {
    bytes = await collectStream(upstream.body, { maxBytes: limit, within: run.exchange.up.timeouts.idle });
  } catch (cause) {
    return fail(run, new Error("fal.ai's answer could not be read", { cause }));
  }
  const { status, headers, body } = await run.exchange.collected(bytes);
  run.status = status;
  run.bytesOut = body.length;
  finish(run, "complete");
  return toResponse({ type: "answer", status, headers, body });
}

function fail(run: Run, error: unknown): Response {
  const reason: unknown = run.abort.signal.aborted ? run.abort.signal.reason : error;
  const root = rootOf(reason);
  // A body that broke never made a whole request, so nothing can have run.
  const ending = root instanceof ProxyError || !run.sender.wasSent(error) ? "unsent" : "unanswered";
  const answer = run.exchange.failed(ending, root);
  run.status = answer.status;
  finish(run, reason === callerLeft ? "left" : ending);
  run.abort.abort();
  return toResponse(answer);
}

function finish({ exchange, bytesIn, bytesOut, status, patience }: Run, ending: Ending): void {
  clearTimeout(patience);
  exchange.end(ending, { bytesIn, bytesOut, status });
}

/** Pulls upstream's body as the caller takes it, ends it visibly broken when upstream breaks, and stops it when the caller leaves. */
function passThrough(
  run: Run,
  source: ReadableStream<Uint8Array>,
  body: AnswerHead["body"],
  signal: AbortSignal,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const rewriter = typeof body === "object" && "rewrite" in body ? body.rewrite : undefined;
  const { idle } = run.exchange.up.timeouts;
  const stopMeter = startMeter(run);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = (ending: Ending): void => {
    clearTimeout(timer);
    stopMeter();
    signal.removeEventListener("abort", leave);
    finish(run, ending);
  };
  const leave = (): void => {
    run.abort.abort(callerLeft);
    over("left");
  };
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          for (;;) {
            timer = setTimeout(() => run.abort.abort(new DOMException("fal.ai went silent", "TimeoutError")), idle);
            const { done, value } = await reader.read();
            clearTimeout(timer);
            const bytes = done ? rewriter?.end() : rewriter === undefined ? value : rewriter.push(value);
            run.bytesOut += bytes?.length ?? 0;
            if (bytes !== undefined && bytes.length > 0) controller.enqueue(bytes);
            if (done) {
              over("complete");
              controller.close();
              return;
            }
            if (bytes !== undefined && bytes.length > 0) return;
          }
        } catch (error) {
          over(
            run.abort.signal.reason === meterStopped
              ? "stopped"
              : run.abort.signal.reason === callerLeft
                ? "left"
                : "cut",
          );
          controller.error(error);
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}

function startMeter({ exchange, abort }: Run): () => void {
  const { meter } = exchange;
  if (meter === undefined) return () => undefined;
  const timer = setInterval(() => {
    meter.tick().then(
      (answer) => {
        if (answer === "stop") abort.abort(meterStopped);
      },
      () => abort.abort(meterStopped),
    );
  }, meter.everyMs);
  return () => clearInterval(timer);
}
