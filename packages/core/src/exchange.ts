import { toAnswer, toProxyError } from "./answer.ts";
import { type Call, isSafe } from "./call.ts";
import { ProxyError } from "./errors.ts";
import type { HeaderList } from "./head.ts";
import { type JobNote, type JobOrigin, jobKey } from "./job.ts";
import { listsOf } from "./job-index.ts";
import type { Settings } from "./options.ts";
import { openSocket } from "./open-socket.ts";
import { type KeptAnswer, digestOf, keepAnswer } from "./replay.ts";
import { type LeaseKeeper, keepLease } from "./lease-keeper.ts";
import { type Meter, meterOf } from "./meter.ts";
import { isOpen } from "./rules/limits.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Price } from "./rules/price.ts";
import type {
  Answer,
  AnswerHead,
  CollectedAnswer,
  Door,
  Ending,
  Exchange,
  OpenSocket,
  UpstreamHead,
  Use,
} from "./seam.ts";
import { settleCall } from "./settlement.ts";
import { type Soon, andThen, orElse } from "./soon.ts";
import type { Hold } from "./store.ts";
import { type SealedJob, type Submission, readSubmission, rewriteSubmission } from "./submission.ts";
import type { Trace } from "./trace.ts";
import { passHead, passHeaders, refuseUpstream } from "./upstream-answer.ts";
import { contentLength, rewritesAnswer, upstreamRequest } from "./upstream-request.ts";

/**
 * Everything that was decided about a call before it may go. A class, as is for HTTP on Node whatever leads to a call and lives as long. An
 * object literal whose objects outlive collections, because many calls are open, is made in V8's old generation from then on: there it
 * outlives its call, and with it all that it leads to.
 */
export class AdmittedCall {
  readonly door: Door;
  readonly call: Call;
  readonly caller: KnownCaller;
  readonly settings: Settings;
  readonly trace: Trace;
  /** The query to send upstream. */
  readonly query: string | null;
  /** The query as it was let through, without a webhook of the app's. */
  readonly asked: string | null;
  readonly body: "stream" | Uint8Array | null;
  readonly apiKey: string;
  /** Money and places that were set aside. */
  readonly hold: Hold | undefined;
  readonly price: Price | undefined;
  /** fal's own id and the caller's name for it, on calls about a job. */
  readonly job: SealedJob | undefined;
  readonly form: "header" | "path";
  /** Our own URL, where the answer's URLs must lead back to us (path form). */
  readonly base: string | undefined;
  /** Headers that the answer carries beside upstream's: what is left of the rates, a cookie of the app's. */
  readonly more: HeaderList;
  readonly origin: JobOrigin;
  /** Whether a new job's result is to be delivered to the app. */
  readonly delivers: boolean;

  constructor(given: AdmittedCall) {
    this.door = given.door;
    this.call = given.call;
    this.caller = given.caller;
    this.settings = given.settings;
    this.trace = given.trace;
    this.query = given.query;
    this.asked = given.asked;
    this.body = given.body;
    this.apiKey = given.apiKey;
    this.hold = given.hold;
    this.price = given.price;
    this.job = given.job;
    this.form = given.form;
    this.base = given.base;
    this.more = given.more;
    this.origin = given.origin;
    this.delivers = given.delivers;
  }
}

/** Turns an admitted call into the exchange that a transport carries out. */
export function createExchange(admitted: AdmittedCall): Exchange {
  return new CallExchange(new AdmittedCall(admitted));
}

/** A class, because every call makes one, and one with closures is ten objects more. */
class CallExchange implements Exchange {
  readonly type = "exchange";
  readonly up: Exchange["up"];
  readonly whenCallerLeaves: Exchange["whenCallerLeaves"];
  readonly finishWithin: number;
  /** From the answer's head on. */
  meter: Meter | undefined = undefined;
  readonly #admitted: AdmittedCall;
  #upstream: UpstreamHead | undefined = undefined;
  #job: SealedJob | undefined;
  #refusal: ProxyError | undefined = undefined;
  /** While its body comes, before its answer begins, and until it ends, where no meter does that. */
  readonly #keeper: LeaseKeeper;
  /** What a repeated submit will find, once the caller has left. */
  #kept: "nothing" | "a mark" | "an answer" = "nothing";
  #ended = false;

  constructor(admitted: AdmittedCall) {
    const { call, settings, job } = admitted;
    this.up = upstreamRequest(admitted);
    this.whenCallerLeaves = call.kind === "submit" || call.kind === "cancel" ? "finish" : "abort";
    this.finishWithin = settings.timeouts.finish;
    this.#admitted = admitted;
    this.#job = job;
    this.#keeper = admitted.body === "stream" || isOpen(call) ? keepLease(admitted.hold, settings) : undefined;
  }

  opened(): OpenSocket {
    clearInterval(this.#keeper);
    return openSocket(this.#admitted);
  }

  callerLeft(): void {
    if (!this.#ended) this.#keep("under way");
  }

  head(up: UpstreamHead): AnswerHead {
    this.#upstream = up;
    this.meter = meterOf(this.#admitted);
    if (this.meter !== undefined) clearInterval(this.#keeper);
    const refused = refuseUpstream(up, this.#admitted);
    return refused === undefined ? passHead(up, this.#admitted) : this.#refuse(refused);
  }

  collected(body: Uint8Array): Soon<CollectedAnswer> {
    // The job gets a lease of its own.
    clearInterval(this.#keeper);
    const submission = readSubmission(body);
    return orElse(
      () => andThen(bindSubmission(submission, this.#admitted), (job) => this.#submitted(body, submission, job)),
      (error) => this.#refuse(toProxyError(error)),
    );
  }

  #submitted(given: Uint8Array, submission: Submission | undefined, job: SealedJob | undefined): CollectedAnswer {
    const { call, base, door } = this.#admitted;
    const { status, headers: named } = this.#upstream ?? { status: 500, headers: [] };
    this.#job = job;
    const body = submission === undefined || job === undefined ? given : rewriteSubmission(submission, job, call, base);
    const rewritten = { bodyChanges: true, requestId: job };
    const headers = [...passHeaders(named, this.#admitted, rewritten), contentLength(body)];
    if (door.isGone()) this.#keep({ status, headers, body });
    return { status, headers, body };
  }

  failed(ending: "unsent" | "unanswered", error: unknown): Answer {
    const { call, door, settings, trace } = this.#admitted;
    const refusal = failure(ending, error, call);
    this.#refusal = refusal;
    trace.logError(refusal);
    return toAnswer(refusal, door.head, settings);
  }

  end(ending: Ending, use: Use): void {
    if (this.#ended) return;
    this.#ended = true;
    const { call, door, settings, trace } = this.#admitted;
    const [upstream, job] = [this.#upstream, this.#job];
    const how = use.incomplete === true && upstream === undefined ? "unsent" : ending;
    clearInterval(this.#keeper);
    const settled = settleCall(this.#admitted, how, upstream, job, this.meter);
    if (settled !== undefined) door.waitUntil(settled);
    if (this.#kept === "a mark") this.#keep(enqueuedNothing(how, upstream) ? "none" : unansweredSubmit(door, settings));
    if (call.kind === "status-stream" && job !== undefined) settings.abandonment?.again(job.from);
    trace.finished(ending, use, upstream?.status, this.#refusal);
  }

  #refuse(error: ProxyError): AnswerHead & CollectedAnswer {
    const { door, settings, trace } = this.#admitted;
    this.#refusal = error;
    trace.logError(error);
    const { status, headers, body } = toAnswer(error, door.head, settings);
    return { status, headers, body, flush: false };
  }

  /** The caller does not get this answer: whoever repeats the submit does. */
  #keep(answer: KeptAnswer): void {
    const admitted = this.#admitted;
    const { call, caller, asked, body, door, settings } = admitted;
    if (call.kind !== "submit") return;
    this.#kept = answer === "under way" ? "a mark" : "an answer";
    const replay = { key: caller.replays, digest: () => digestOf(admitted, asked, body) };
    door.waitUntil(keepAnswer(replay, answer, settings));
  }
}

/** Whether fal.ai surely has no job of this submit. */
function enqueuedNothing(ending: Ending, upstream: UpstreamHead | undefined): boolean {
  return ending === "unsent" || (upstream !== undefined && (upstream.status < 200 || upstream.status > 299));
}

function unansweredSubmit(door: Door, settings: Settings): Answer {
  return toAnswer(new ProxyError("upstream_unanswered"), door.head, settings);
}

/** Seals a new job to its caller and ties what it holds to it. */
function bindSubmission(submission: Submission | undefined, admitted: AdmittedCall): Soon<SealedJob | undefined> {
  const { call, origin, settings } = admitted;
  if (submission === undefined) {
    // Without an id the job exists, but nobody could ever ask for it by a name of ours.
    if (rewritesAnswer(admitted)) throw new ProxyError("upstream_unanswered", { log: noRequestId });
    settings.log.error(noRequestId);
    return undefined;
  }
  const { id: from } = submission;
  const sealed = origin.owned ? settings.sealer.seal({ caller: origin.caller, app: call.app, requestId: from }) : from;
  return andThen(sealed, (to) => {
    const { endpoint, caller, isPublic, owned, at } = origin;
    const kept = admitted.delivers || settings.abandonment === undefined;
    const note: JobNote = { id: from, app: call.app, endpoint, caller, isPublic, owned, at, ...(kept && { kept }) };
    if (!kept) settings.abandonment?.seen(note);
    return andThen(bindJob(note, admitted), () => ({ from, to }));
  });
}

function bindJob(note: JobNote, { caller, delivers, hold, settings }: AdmittedCall): Soon<void> {
  const { jobLease } = settings.timeouts;
  return andThen(listsOf(caller, delivers, settings), (lists) => {
    if (hold === undefined && lists.length === 0) return undefined;
    return andThen(jobKey(note.id, settings), (key) =>
      orElse(
        () => settings.askStore((store) => store.bind(hold?.id ?? "", key, JSON.stringify(note), jobLease, lists)),
        // The job exists and its caller must learn of it; what it holds is charged when it expires.
        (cause) => settings.log.error("a job could not be tied to what it holds", cause),
      ),
    );
  });
}

const noRequestId = "fal.ai answered a submit without a request_id";

function failure(ending: "unsent" | "unanswered", cause: unknown, call: Call): ProxyError {
  if (cause instanceof ProxyError) return cause;
  const log = `${call.kind} ${call.endpoint} ${ending === "unsent" ? "did not reach" : "was not answered by"} fal.ai`;
  if (ending === "unanswered" && !isSafe(call)) return new ProxyError("upstream_unanswered", { cause, log });
  return new ProxyError(isTimeout(cause) ? "upstream_timeout" : "upstream_unreachable", { cause, log });
}

function isTimeout(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === "TimeoutError" || ("code" in error && /TIMEOUT|ETIMEDOUT/.test(String(error.code))))
  );
}
