import { toAnswer, toProxyError } from "./answer.ts";
import type { Call } from "./call.ts";
import { ProxyError } from "./errors.ts";
import type { HeaderList } from "./head.ts";
import { type JobNote, type JobOrigin, jobKey } from "./job.ts";
import { listsOf } from "./job-index.ts";
import type { Settings } from "./options.ts";
import { openSocket } from "./open-socket.ts";
import { type KeptAnswer, type Replay, keepAnswer } from "./replay.ts";
import { meterOf } from "./meter.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Price } from "./rules/price.ts";
import type { Answer, AnswerHead, Door, Ending, Exchange, UpstreamHead } from "./seam.ts";
import { settleCall } from "./settlement.ts";
import { type Soon, andThen } from "./soon.ts";
import type { Hold } from "./store.ts";
import { type SealedJob, readSubmission, rewriteSubmission } from "./submission.ts";
import type { Trace } from "./trace.ts";
import { passHead, passHeaders, refuseUpstream } from "./upstream-answer.ts";
import { contentLength, rewritesAnswer, upstreamRequest } from "./upstream-request.ts";

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
  /** Money and places that were set aside. */
  readonly hold: Hold | undefined;
  readonly price: Price | undefined;
  /** fal's own id and the caller's name for it, on calls about a job. */
  readonly job: SealedJob | undefined;
  /** Seals a new job's id; undefined where jobs are not owned. */
  readonly seal: ((requestId: string) => Soon<string>) | undefined;
  readonly form: "header" | "path";
  /** Our own URL, where the answer's URLs must lead back to us (path form). */
  readonly base: string | undefined;
  /** Headers that the answer carries beside upstream's: what is left of the rates, a cookie of the app's. */
  readonly more: HeaderList;
  /** Where the answer is kept if its caller leaves; undefined where it is not. */
  readonly replay: Replay | undefined;
  readonly origin: JobOrigin;
  /** Whether a new job's result is to be delivered to the app. */
  readonly delivers: boolean;
}

/** Turns an admitted call into the exchange that a transport carries out. */
export function createExchange(admitted: Admitted): Exchange {
  const { call, settings, trace, door, replay } = admitted;
  let upstream: UpstreamHead | undefined;
  let job = admitted.job;
  let refusal: ProxyError | undefined;
  /** What a repeated submit will find, once the caller has left. */
  let kept: "nothing" | "a mark" | "an answer" = "nothing";
  let ended = false;

  function refuseAnswer(error: ProxyError): AnswerHead {
    refusal = error;
    trace.logError(error);
    const { status, headers, body } = toAnswer(error, door.head, settings);
    return { status, headers, body, flush: false };
  }

  /** The caller does not get this answer: whoever repeats the submit does. */
  function keep(answer: KeptAnswer): void {
    if (replay === undefined) return;
    kept = answer === "under way" ? "a mark" : "an answer";
    door.waitUntil(keepAnswer(replay, answer, settings));
  }

  return {
    type: "exchange",
    up: upstreamRequest(admitted),
    whenCallerLeaves: call.kind === "submit" || call.kind === "cancel" ? "finish" : "abort",
    finishWithin: settings.timeouts.finish,
    meter: meterOf(admitted),
    opened: () => openSocket(admitted),
    callerLeft() {
      if (!ended) keep("under way");
    },
    head(up) {
      upstream = up;
      const refused = refuseUpstream(up, admitted);
      return refused === undefined ? passHead(up, admitted) : refuseAnswer(refused);
    },
    async collected(body) {
      const status = upstream?.status ?? 500;
      try {
        job = await bindSubmission(body, admitted);
        const bytes = job === undefined ? body : rewriteSubmission(body, job, call, admitted.base);
        const rewritten = { bodyChanges: true, requestId: job };
        const headers = [...passHeaders(upstream?.headers ?? [], admitted, rewritten), contentLength(bytes)];
        if (door.isGone()) keep({ status, headers, body: bytes });
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
      const settled = settleCall(
        admitted,
        use.incomplete === true && upstream === undefined ? "unsent" : ending,
        upstream,
        job,
      );
      if (settled !== undefined) door.waitUntil(settled);
      if (kept === "a mark") keep(enqueuedNothing(ending, upstream) ? "none" : unansweredSubmit(door, settings));
      if (call.kind === "status-stream" && job !== undefined) settings.abandonment?.again(job.from);
      trace.finished(ending, use, upstream?.status, refusal);
    },
  };
}

/** Whether fal.ai surely has no job of this submit. */
function enqueuedNothing(ending: Ending, upstream: UpstreamHead | undefined): boolean {
  return ending === "unsent" || (upstream !== undefined && (upstream.status < 200 || upstream.status > 299));
}

function unansweredSubmit(door: Door, settings: Settings): Answer {
  return toAnswer(new ProxyError("upstream_unanswered"), door.head, settings);
}

/** Reads a submit answer, seals the job to its caller and ties what it holds to it. */
function bindSubmission(body: Uint8Array, admitted: Admitted): Soon<SealedJob | undefined> {
  const { call, settings, seal } = admitted;
  const from = readSubmission(body);
  if (from === undefined) {
    // Without an id the job exists, but nobody could ever ask for it by a name of ours.
    if (rewritesAnswer(admitted)) throw new ProxyError("upstream_unanswered", { log: noRequestId });
    settings.log.error(noRequestId);
    return undefined;
  }
  return andThen(seal === undefined ? from : seal(from), (to) => {
    const note: JobNote = { id: from, app: call.app, ...admitted.origin };
    settings.abandonment?.seen(note);
    return andThen(bindJob(note, admitted), () => ({ from, to }));
  });
}

function bindJob(note: JobNote, { caller, delivers, hold, settings }: Admitted): Soon<void> {
  const { jobLease } = settings.timeouts;
  return andThen(listsOf(caller, delivers, settings), (lists) => {
    if (hold === undefined && lists.length === 0) return undefined;
    return andThen(jobKey(note.id, settings), (key) =>
      settings
        .askStore((store) => store.bind(hold?.id ?? "", key, JSON.stringify(note), jobLease, lists))
        // The job exists and its caller must learn of it; what it holds is charged when it expires.
        .catch((cause: unknown) => settings.log.error("a job could not be tied to what it holds", cause)),
    );
  });
}

const noRequestId = "fal.ai answered a submit without a request_id";

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
