import { toAnswer, toProxyError } from "./answer.ts";
import { type Call, renderCall } from "./call.ts";
import { ProxyError } from "./errors.ts";
import { type Header, type HeaderList, valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import type { KnownCaller } from "./rules/caller.ts";
import { takesBody } from "./rules/body.ts";
import { type AnswerRewrite, answerHeaders, ownHeaders, requestHeaders } from "./rules/headers.ts";
import { outcomeOf } from "./rules/limits.ts";
import { corsHeaders } from "./rules/origin.ts";
import { type SealedJob, readSubmission, rewriteSubmission } from "./submission.ts";
import { chainRewriters, createRewriter } from "./rewrite.ts";
import type { AnswerHead, Door, Ending, Exchange, Rewriter, UpstreamHead, UpstreamRequest } from "./seam.ts";
import type { Outcome, Reservation } from "./store.ts";
import type { Trace } from "./trace.ts";

/** Everything that was decided about a call before it may go. */
export interface Admitted {
  readonly door: Door;
  readonly call: Call;
  readonly caller: KnownCaller;
  readonly settings: Settings;
  readonly trace: Trace;
  readonly query: string | null;
  readonly body: "stream" | Uint8Array | null;
  readonly apiKey: string;
  readonly reservation: Reservation | undefined;
  /** fal's own id and the caller's name for it, on calls about a job. */
  readonly job: SealedJob | undefined;
  /** Seals a new job's id; undefined where jobs are not owned. */
  readonly seal: ((requestId: string) => Promise<string>) | undefined;
  /** Our own URL, where the answer's URLs must lead back to us (path form). */
  readonly base: string | undefined;
  readonly reauthorize: () => Promise<boolean>;
}

const collectLimit = 1024 * 1024;

/** Turns an admitted call into the exchange that a transport carries out. */
export function createExchange(admitted: Admitted): Exchange {
  const { call, settings, trace, door } = admitted;
  let upstream: UpstreamHead | undefined;
  let job = admitted.job;
  let refusal: ProxyError | undefined;
  let ended = false;

  function refuseAnswer(error: ProxyError): AnswerHead {
    refusal = error;
    trace.logError(error);
    const { status, headers, body } = toAnswer(error, door.head, settings);
    return { status, headers, body, flush: false };
  }

  return {
    type: "exchange",
    up: upstreamRequest(admitted),
    whenCallerLeaves: call.kind === "submit" || call.kind === "cancel" ? "finish" : "abort",
    finishWithin: settings.timeouts.finish,
    meter: meterOf(admitted),
    head(up) {
      upstream = up;
      const refused = refuseUpstream(up, admitted);
      return refused === undefined ? passHead(up, admitted) : refuseAnswer(refused);
    },
    async collected(body) {
      const status = upstream?.status ?? 500;
      try {
        job = await bindSubmission(body, admitted);
        const bytes = rewriteSubmission(body, job, call, admitted.base);
        const headers = [
          ...passHeaders(upstream?.headers ?? [], admitted, { bodyChanges: true, requestId: job }),
          contentLength(bytes),
        ];
        return { status, headers, body: bytes };
      } catch (error) {
        const answer = refuseAnswer(toProxyError(error));
        return { ...answer, body: answer.body instanceof Uint8Array ? answer.body : new Uint8Array(0) };
      }
    },
    failed(ending, error) {
      refusal = failure(ending, error, call);
      trace.logError(refusal);
      return toAnswer(refusal, door.head, settings);
    },
    end(ending, use) {
      if (ended) return;
      ended = true;
      const settled = settleCall(admitted, ending, upstream, job);
      if (settled !== undefined) door.waitUntil(settled);
      trace.finished(ending, use, upstream?.status, refusal);
    },
  };
}

function upstreamRequest(admitted: Admitted): UpstreamRequest {
  const { call, settings, door, apiKey, body, job } = admitted;
  const long = call.kind === "run" || call.kind === "stream";
  const streams = long || call.kind === "status-stream";
  const { upstream, timeouts } = settings;
  const path = renderCall(call, job?.from, admitted.query);
  return {
    method: call.method,
    origin: upstream?.origin ?? `https://${call.host}`,
    path: upstream === undefined ? path : `${upstream.prefix}/${call.host}${path}`,
    headers: headersFor(admitted, door.head.headers, apiKey),
    body,
    maxBodyBytes: settings.maxBodyBytes,
    repeatable: call.method === "GET" || call.method === "HEAD",
    timeouts: {
      connect: timeouts.connect,
      head: call.kind === "realtime" ? timeouts.handshake : long ? timeouts.runHead : timeouts.head,
      idle: call.kind === "realtime" ? timeouts.socketIdle : streams ? timeouts.streamIdle : timeouts.idle,
      body: timeouts.callerBody,
    },
  };
}

function headersFor(
  { call, settings, trace, body, door, ...admitted }: Admitted,
  given: HeaderList,
  apiKey: string,
): Header[] {
  const headers = requestHeaders(given, settings.forwardHeaders, takesBody(call), (name) => trace.dropped(name));
  const sent = body instanceof Uint8Array ? headers.filter(([name]) => name !== "content-length") : headers;
  const coding =
    door.codings === "pass" && !readsAnswer(call, admitted) ? valueOf(given, "accept-encoding") : "identity";
  if (body instanceof Uint8Array) sent.push(contentLength(body));
  if (coding !== undefined) sent.push(["accept-encoding", coding]);
  sent.push(["authorization", `Key ${apiKey}`]);
  return sent;
}

/** Whether we have to understand the answer's bytes. */
function readsAnswer(
  call: Call,
  { seal, base, reservation }: Pick<Admitted, "seal" | "base" | "reservation">,
): boolean {
  switch (call.kind) {
    case "submit":
      return seal !== undefined || base !== undefined || reservation !== undefined;
    case "status":
    case "status-stream":
      return seal !== undefined || base !== undefined;
    case "run":
    case "stream":
    case "result":
    case "cancel":
    case "token":
    case "upload":
    case "realtime":
      return false;
  }
}

/** Answers of upstream that must not reach the caller. */
function refuseUpstream({ status, headers }: UpstreamHead, admitted: Admitted): ProxyError | undefined {
  const { call } = admitted;
  if (call.kind === "realtime") return refuseHandshake(status);
  const spends = call.method !== "GET" && call.method !== "HEAD";
  if (status < 200 || status > 599) {
    return new ProxyError(spends ? "upstream_unanswered" : "upstream_invalid", {
      log: `fal.ai answered with status ${status}`,
    });
  }
  if (status >= 300 && status < 400 && status !== 304 && admitted.base !== undefined)
    return new ProxyError("upstream_redirect");
  const coding = valueOf(headers, "content-encoding") ?? "identity";
  if (coding !== "identity" && readsAnswer(call, admitted) && status < 300) {
    return new ProxyError(spends ? "upstream_unanswered" : "upstream_invalid", {
      log: `fal.ai sent ${coding} where identity was asked for`,
    });
  }
  return undefined;
}

/** Upstream's refusal of a handshake: its status, except where it speaks of our key or leads elsewhere. */
function refuseHandshake(status: number): ProxyError | undefined {
  if (status === 101) return undefined;
  const passes = status >= 400 && status <= 599 && status !== 401 && status !== 403;
  return new ProxyError("upstream_invalid", {
    status: passes ? status : 502,
    message: "fal.ai refused the connection.",
    log: `fal.ai answered a WebSocket handshake with status ${status}`,
  });
}

function passHead(up: UpstreamHead, admitted: Admitted): AnswerHead {
  const { call, job } = admitted;
  const { status } = up;
  const empty = call.method === "HEAD" || status === 204 || status === 205 || status === 304;
  const coded = (valueOf(up.headers, "content-encoding") ?? "identity") !== "identity";
  const reads = readsAnswer(call, admitted) && !empty && !coded;
  if (reads && call.kind === "submit" && status < 300)
    return { status, headers: [], body: { collect: collectLimit }, flush: false };
  const rewriter =
    reads && call.kind !== "submit" && job !== undefined ? statusRewriter(call, job, admitted.base) : undefined;
  const headers = passHeaders(up.headers, admitted, {
    bodyChanges: rewriter !== undefined || (empty && call.method !== "HEAD"),
    requestId: job,
  });
  const body = empty ? "none" : rewriter === undefined ? "stream" : { rewrite: rewriter };
  return { status, headers, body, flush: isEventStream(call, up.headers) };
}

function statusRewriter(call: Call, job: SealedJob, base: string | undefined): Rewriter {
  const ids = createRewriter(job.from, job.to);
  if (base === undefined) return ids;
  const path = `/${call.app}/requests/${job.from}`;
  const urls = createRewriter(`https://queue.fal.run${path}`, `${base}/queue.fal.run${path}`);
  return job.from === job.to ? urls : chainRewriters(urls, ids);
}

function passHeaders(headers: HeaderList, { call, settings, door }: Admitted, rewrite: AnswerRewrite): Header[] {
  const streaming = isEventStream(call, headers);
  return [
    ...answerHeaders(headers, rewrite),
    ...ownHeaders(streaming ? "stream" : "plain", settings.origins.length > 0),
    ...corsHeaders(door.head.headers, settings),
  ];
}

function isEventStream(call: Call, headers: HeaderList): boolean {
  if (call.kind === "stream" || call.kind === "status-stream") return true;
  return valueOf(headers, "content-type")?.toLowerCase().startsWith("text/event-stream") ?? false;
}

function contentLength(bytes: Uint8Array): Header {
  return ["content-length", String(bytes.length)];
}

/** Reads a submit answer, seals the job to its caller and ties the money to it. */
async function bindSubmission(body: Uint8Array, admitted: Admitted): Promise<SealedJob> {
  const { call, settings, reservation, seal } = admitted;
  const from = readSubmission(body);
  const to = seal === undefined ? from : await seal(from);
  if (reservation !== undefined) {
    const key = await jobKey(call, from, settings);
    await settings.askStore((store) => store.bind(reservation.id, key));
  }
  return { from, to };
}

async function jobKey(call: Call, requestId: string, settings: Settings): Promise<string> {
  return `keyway:1:job:${await settings.hashes.of(`job ${call.app} ${requestId}`)}`;
}

function failure(ending: "unsent" | "unanswered", cause: unknown, call: Call): ProxyError {
  if (cause instanceof ProxyError) return cause;
  const log = `${call.kind} ${call.endpoint} ${ending === "unsent" ? "did not reach" : "was not answered by"} fal.ai`;
  const spends = call.method !== "GET" && call.method !== "HEAD";
  if (ending === "unanswered" && spends) return new ProxyError("upstream_unanswered", { cause, log });
  return new ProxyError(isTimeout(cause) ? "upstream_timeout" : "upstream_unreachable", { cause, log });
}

function isTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === "TimeoutError" || ("code" in error && /TIMEOUT|ETIMEDOUT/.test(String(error.code))))
  );
}

/** Charges or releases what the call was worth. Undefined when there is nothing to do. */
function settleCall(
  admitted: Admitted,
  ending: Ending,
  upstream: UpstreamHead | undefined,
  job: SealedJob | undefined,
): Promise<void> | undefined {
  const { call, reservation, settings } = admitted;
  const outcome = howItCameOut(call, ending, upstream);
  if (outcome === undefined) return undefined;
  if (reservation !== undefined) return settle(admitted, outcome, async () => ({ reservation: reservation.id }));
  if (call.kind !== "result" || call.method !== "GET" || job === undefined || !settings.countsMoney) return undefined;
  return settle(admitted, outcome, async () => ({ job: await jobKey(call, job.from, settings) }));
}

function howItCameOut(call: Call, ending: Ending, upstream: UpstreamHead | undefined): Outcome | undefined {
  if (ending === "unsent") return call.kind === "result" ? undefined : "release";
  if (upstream === undefined) return call.kind === "result" || call.kind === "submit" ? undefined : "whole";
  const units = Number(valueOf(upstream.headers, "x-fal-billable-units") ?? Number.NaN);
  return outcomeOf(call.kind, upstream.status, Number.isFinite(units) && units >= 0 ? units : undefined);
}

async function settle(
  { settings }: Admitted,
  outcome: Outcome,
  by: () => Promise<{ reservation: string } | { job: string }>,
): Promise<void> {
  try {
    const which = await by();
    await settings.askStore((store) => store.settle(which, outcome));
  } catch (cause) {
    settings.log.error("a call could not be settled; its reservation is charged when it expires", cause);
  }
}

function meterOf({ call, caller, settings, reauthorize }: Admitted): Exchange["meter"] {
  const open = call.kind === "stream" || call.kind === "status-stream" || call.kind === "realtime";
  if (!open || caller.isPublic) return undefined;
  return { everyMs: settings.reauthorize, tick: async () => ((await reauthorize()) ? "go" : "stop") };
}
