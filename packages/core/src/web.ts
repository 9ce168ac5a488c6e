import { collectStream, limitStream } from "./body-stream.ts";
import { ProxyError } from "./errors.ts";
import { valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { plan } from "./plan.ts";
import { concat } from "./rewrite.ts";
import { type Sender, type UpstreamAnswer, createFetchSender, isReset, rootOf, toHeaders } from "./sender.ts";
import { type Run, callerLeft, createRun, finish, passThrough } from "./web-run.ts";
import type { Answer, AnswerHead, Door, Exchange } from "./seam.ts";
import { contentLength } from "./upstream-request.ts";
import { receiveDelivery } from "./webhooks/receive.ts";

/** What a web-standard host knows beside the Request. */
export interface FetchContext {
  /** Handed to `authorize` as `native`. */
  readonly native?: unknown;
  /** The peer's address, where the host tells it. */
  readonly address?: string | undefined;
  /** The mount path, when the host knows it exactly. */
  readonly mount?: string | undefined;
  /** What the host took off the beginning of the URL's path, such as Next's `basePath`. */
  readonly base?: string | undefined;
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

/** A webhook delivery of fal's, on web-standard hosts. */
export async function answerWebhook(request: Request, context: FetchContext, settings: Settings): Promise<Response> {
  return toResponse(await receiveDelivery(createDoor(request, context, settings), settings));
}

function createDoor(request: Request, context: FetchContext, settings: Settings): Door {
  const url = new URL(request.url);
  const query = /^[^?#]*\?([^#]*)/.exec(request.url)?.[1];
  return {
    head: {
      method: request.method,
      path: (context.base ?? "") + url.pathname,
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
    body: async (maxBytes) =>
      collectStream(bodyOf(request), {
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

async function carryOut(exchange: Exchange, door: Door, request: Request, context: FetchContext): Promise<Response> {
  const run = createRun(exchange, context.sender ?? fetchSender, request.signal);
  const answered = answerOver(run, request, context.hostLimit);
  if (exchange.whenCallerLeaves === "finish") door.waitUntil(answered);
  return answered;
}

async function answerOver(run: Run, request: Request, hostLimit: string | undefined): Promise<Response> {
  const { exchange, abort } = run;
  let upstream: UpstreamAnswer;
  try {
    upstream = await dispatch(run, request, hostLimit);
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
  if (upstream.body instanceof Uint8Array) return answerWhole(run, upstream.body, head);
  const body = upstream.body === null ? null : passThrough(run, upstream.body, head, request.signal);
  if (body === null) finish(run, "complete");
  return new Response(body, { status: head.status, headers: toHeaders(head.headers) });
}

async function dispatch(run: Run, request: Request, hostLimit: string | undefined): Promise<UpstreamAnswer> {
  const { up } = run.exchange;
  const late = (): void => run.abort.abort(new DOMException("fal.ai did not answer in time", "TimeoutError"));
  let timer = setTimeout(late, up.timeouts.head);
  // Upstream cannot answer what has not arrived, so its time starts anew with every piece of the body.
  const count = (bytes: number): void => {
    run.bytesIn += bytes;
    clearTimeout(timer);
    timer = setTimeout(late, up.timeouts.head);
  };
  const whole = (): void => {
    run.incomplete = false;
  };
  try {
    const given = up.body === "stream" ? bodyOf(request) : up.body;
    run.incomplete = given instanceof ReadableStream;
    const announced = lengthOf(request);
    const limits = { maxBytes: up.maxBodyBytes, within: up.timeouts.body, announced, hostLimit, count, whole };
    if (given instanceof Uint8Array) count(given.length);
    return await send(run, given instanceof ReadableStream ? limitStream(given, limits) : given);
  } finally {
    clearTimeout(timer);
  }
}

/** What may be repeated is sent once more when the connection broke before any answer. */
async function send(
  { exchange: { up }, sender, abort }: Run,
  body: ReadableStream<Uint8Array> | Uint8Array | null,
): Promise<UpstreamAnswer> {
  try {
    return await sender.send(up, body, abort.signal);
  } catch (error) {
    if (!up.repeatable || abort.signal.aborted || !isReset(error)) throw error;
    return sender.send(up, body, abort.signal);
  }
}

function lengthOf(request: Request): number | undefined {
  const length = request.headers.get("content-length");
  return length === null ? undefined : Number(length);
}

/** A body that is there in name only is none, so that it goes upstream with a length of 0. */
function bodyOf(request: Request): ReadableStream<Uint8Array> | null {
  if (request.bodyUsed || request.body?.locked === true) {
    throw new ProxyError("body_consumed", {
      log: "the Request's body was read before it reached the proxy: hand over the Request unread, or its clone()",
    });
  }
  return request.headers.get("content-length") === "0" ? null : request.body;
}

/** A body that is all here needs no stream. When it is rewritten, it gets the length that it then has. */
function answerWhole(run: Run, whole: Uint8Array, { status, headers, body }: AnswerHead): Response {
  const rewriter = typeof body === "object" && "push" in body ? body : undefined;
  const bytes = rewriter === undefined ? whole : concat([rewriter.push(whole), rewriter.end()]);
  run.bytesOut = bytes.length;
  finish(run, "complete");
  return toResponse({
    type: "answer",
    status,
    headers: valueOf(headers, "content-length") === undefined ? [...headers, contentLength(bytes)] : headers,
    body: bytes,
  });
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
  if (reason === callerLeft) {
    finish(run, "left");
    return new Response(null, { status: clientClosedRequest });
  }
  const root = rootOf(reason);
  // A body that broke never made a whole request, so nothing can have run.
  const ending = root instanceof ProxyError || !run.sender.wasSent(error) ? "unsent" : "unanswered";
  const answer = run.exchange.failed(ending, root);
  run.status = answer.status;
  finish(run, ending);
  run.abort.abort();
  return toResponse(answer);
}

/** Nobody is there to read it; nginx logs a caller who left as 499. */
const clientClosedRequest = 499;
