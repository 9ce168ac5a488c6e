import { collectStream, limitStream } from "./body-stream.ts";
import { ProxyError } from "./errors.ts";
import { valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { plan } from "./plan.ts";
import { concat } from "./rewrite.ts";
import { type UpstreamAnswer, createFetchSender, isReset, rootOf } from "./sender.ts";
import type { Answer, AnswerHead } from "./seam.ts";
import { contentLength } from "./upstream-request.ts";
import { type FetchContext, WebDoor, bodyOf, lengthOf } from "./web-door.ts";
import { Run, callerLeft, passThrough } from "./web-run.ts";
import { receiveDelivery } from "./webhooks/receive.ts";

const fetchSender = createFetchSender();

/** The web transport: Request in, Response out, sent by fetch or what the host brings. */
export async function answerRequest(request: Request, context: FetchContext, settings: Settings): Promise<Response> {
  const door = new WebDoor(request, context, settings.timeouts.callerBody);
  const decided = await plan(door, settings);
  if (decided.type === "answer") return toResponse(decided);
  const answered = carryOut(new Run(decided, context.sender ?? fetchSender, request), context.hostLimit);
  if (decided.whenCallerLeaves === "finish") door.waitUntil(answered);
  return answered;
}

/** A webhook delivery of fal's, on web-standard hosts. */
export async function answerWebhook(request: Request, context: FetchContext, settings: Settings): Promise<Response> {
  return toResponse(await receiveDelivery(new WebDoor(request, context, settings.timeouts.callerBody), settings));
}

/** Headers go one by one into those of the Response: as a list, or as Headers of their own, they would be read and copied twice. */
function toResponse({ status, headers, body }: ResponseParts): Response {
  const none = body instanceof Uint8Array && body.length === 0;
  const response = new Response(none ? null : (body as BodyInit | null), { status });
  for (const [name, value] of headers) response.headers.append(name, value);
  return response;
}

interface ResponseParts extends Pick<Answer, "status" | "headers"> {
  readonly body: ReadableStream<Uint8Array> | Uint8Array | null;
}

async function carryOut(run: Run, hostLimit: string | undefined): Promise<Response> {
  const { exchange, abort } = run;
  let upstream: UpstreamAnswer;
  try {
    upstream = await send(run, bodyFor(run, hostLimit));
  } catch (error) {
    return fail(run, error);
  } finally {
    run.headCame();
  }
  const head = exchange.head(upstream);
  const { status, headers, body } = head;
  run.status = status;
  if (typeof body === "object" && "collect" in body) return answerCollected(run, upstream, body.collect);
  if (body === "none" || body instanceof Uint8Array) {
    abort.abort();
    run.finish("complete");
    return toResponse({ status, headers, body: body === "none" ? null : body });
  }
  if (upstream.body instanceof Uint8Array) return answerWhole(run, upstream.body, head);
  if (upstream.body === null) run.finish("complete");
  return toResponse({ status, headers, body: upstream.body && passThrough(run, upstream.body, head) });
}

function bodyFor(run: Run, hostLimit: string | undefined): ReadableStream<Uint8Array> | Uint8Array | null {
  const { request } = run;
  const { body, maxBodyBytes, timeouts } = run.exchange.up;
  const given = body === "stream" ? bodyOf(request) : body;
  run.awaitHead();
  if (given instanceof Uint8Array) run.count(given.length);
  if (!(given instanceof ReadableStream)) return given;
  run.incomplete = true;
  const { stream, letGo } = limitStream(given, {
    maxBytes: maxBodyBytes,
    within: timeouts.body,
    announced: lengthOf(request),
    hostLimit,
    count: (bytes) => run.count(bytes),
    whole: () => {
      run.incomplete = false;
    },
  });
  run.letGo = letGo;
  return stream;
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

/** A body that is all here needs no stream. When it is rewritten, it gets the length that it then has. */
function answerWhole(run: Run, whole: Uint8Array, { status, headers, body }: AnswerHead): Response {
  const rewriter = typeof body === "object" && "push" in body ? body : undefined;
  const bytes = rewriter === undefined ? whole : concat([rewriter.push(whole), rewriter.end()]);
  run.bytesOut = bytes.length;
  run.finish("complete");
  return toResponse({
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
  run.finish("complete");
  return toResponse({ status, headers, body });
}

function fail(run: Run, error: unknown): Response {
  // Not every sender does so, of what it has not begun to send.
  run.letGo?.();
  const reason: unknown = run.abort.signal.aborted ? run.abort.signal.reason : error;
  if (reason === callerLeft) {
    run.incomplete ||= !run.sender.wasSent(error);
    run.finish("left");
    return new Response(null, { status: clientClosedRequest });
  }
  const root = rootOf(reason);
  // A body that broke never made a whole request, so nothing can have run.
  const ending = root instanceof ProxyError || !run.sender.wasSent(error) ? "unsent" : "unanswered";
  const answer = run.exchange.failed(ending, root);
  run.status = answer.status;
  run.finish(ending);
  run.abort.abort();
  return toResponse(answer);
}

/** Nobody is there to read it; nginx logs a caller who left as 499. */
const clientClosedRequest = 499;
