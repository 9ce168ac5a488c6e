import { type Call, isSafe } from "./call.ts";
import { ProxyError } from "./errors.ts";
import type { AdmittedCall } from "./exchange.ts";
import { type Header, type HeaderList, valueOf } from "./head.ts";
import { endJob } from "./job.ts";
import { chainRewriters, createRewriter, tapRewriter } from "./rewrite.ts";
import { type AnswerRewrite, answerHeaders, ownHeaders } from "./rules/headers.ts";
import { corsHeaders } from "./rules/origin.ts";
import type { AnswerHead, Rewriter, UpstreamHead } from "./seam.ts";
import type { SealedJob } from "./submission.ts";
import { type HeardState, StateReader } from "./tracker.ts";
import { readsAnswer, rewritesAnswer } from "./upstream-request.ts";

/** Answers of upstream that must not reach the caller. */
export function refuseUpstream({ status, headers }: UpstreamHead, admitted: AdmittedCall): ProxyError | undefined {
  const { call } = admitted;
  if (call.kind === "realtime") return refuseHandshake(status);
  if (status < 200 || status > 599) {
    return new ProxyError(isSafe(call) ? "upstream_invalid" : "upstream_unanswered", {
      log: `fal.ai answered with status ${status}`,
    });
  }
  if (status >= 300 && status < 400 && status !== 304 && admitted.form === "path")
    return new ProxyError("upstream_redirect");
  const coding = valueOf(headers, "content-encoding") ?? "identity";
  if (coding !== "identity" && rewritesAnswer(admitted) && status < 300) {
    return new ProxyError(isSafe(call) ? "upstream_invalid" : "upstream_unanswered", {
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

const collected = { collect: 1024 * 1024 };

/** How upstream's answer is passed on. */
export function passHead(up: UpstreamHead, admitted: AdmittedCall): AnswerHead {
  const { call, job } = admitted;
  const { status } = up;
  const empty = call.method === "HEAD" || status === 204 || status === 205 || status === 304;
  const coded = (valueOf(up.headers, "content-encoding") ?? "identity") !== "identity";
  const reads = readsAnswer(admitted) && !empty && !coded;
  if (reads && call.kind === "submit" && status < 300) return new PassedHead(status, [], collected, false);
  const rewriter = empty || coded || job === undefined ? undefined : bodyRewriter(admitted, job, status);
  const headers = passHeaders(up.headers, admitted, {
    bodyChanges: empty
      ? call.method !== "HEAD" || rewritesAnswer(admitted)
      : rewriter !== undefined && rewritesAnswer(admitted),
    requestId: job,
  });
  const body = empty ? "none" : (rewriter ?? "stream");
  return new PassedHead(status, headers, body, isEventStream(call, up.headers));
}

/** A class for the reason that is given at {@link AdmittedCall}. */
class PassedHead implements AnswerHead {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: AnswerHead["body"];
  readonly flush: boolean;

  constructor(status: number, headers: HeaderList, body: AnswerHead["body"], flush: boolean) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.flush = flush;
  }
}

/** Status answers are rewritten where ids are sealed or URLs must lead back to us, and listened to for the job's end. */
function bodyRewriter(admitted: AdmittedCall, job: SealedJob, status: number): Rewriter | undefined {
  const { call, base } = admitted;
  if (call.kind !== "status" && call.kind !== "status-stream") return undefined;
  const rewriter = rewritesAnswer(admitted) ? statusRewriter(call, job, base) : undefined;
  if (status >= 300) return rewriter;
  const reader = new StateReader((heard) => hear(heard, admitted, job));
  return tapRewriter(reader, rewriter);
}

function hear({ state, seconds, failed }: HeardState, admitted: AdmittedCall, job: SealedJob): void {
  const { call, caller, origin, settings, door } = admitted;
  if (state === "COMPLETED") settings.abandonment?.over(job.from);
  else if (!origin.owned) settings.abandonment?.seen({ id: job.from, app: call.app, caller: caller.id });
  // What failed may cost nothing, which its result tells.
  if (settings.tracker.see(job.from, state, failed))
    door.waitUntil(endJob(job.from, failed ? undefined : seconds, settings));
}

function statusRewriter(call: Call, job: SealedJob, base: string | undefined): Rewriter {
  const ids = createRewriter(job.from, job.to);
  if (base === undefined) return ids;
  const path = `/${call.app}/requests/${job.from}`;
  const urls = createRewriter(`https://queue.fal.run${path}`, `${base}/queue.fal.run${path}`);
  return job.from === job.to ? urls : chainRewriters(urls, ids);
}

/** The headers of a passed answer: upstream's that may cross, and ours. */
export function passHeaders(
  headers: HeaderList,
  { call, settings, door, more }: AdmittedCall,
  rewrite: AnswerRewrite,
): Header[] {
  const streaming = isEventStream(call, headers);
  return answerHeaders(headers, rewrite).concat(
    ownHeaders(streaming ? "stream" : "plain", settings.origins.length > 0),
    corsHeaders(door.head.headers, settings),
    more,
  );
}

function isEventStream(call: Call, headers: HeaderList): boolean {
  if (call.kind === "stream" || call.kind === "status-stream") return true;
  return valueOf(headers, "content-type")?.toLowerCase().startsWith("text/event-stream") ?? false;
}
