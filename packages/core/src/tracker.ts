import { createRecent } from "./recent.ts";

/** What fal.ai last said of a job. */
type JobState = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";

/** Follows jobs in this process by what passes through it, so that no store has to be asked on a poll. */
export interface JobTracker {
  /** Notes what a status answer said, and whether it named an error. True when it says for the first time here that the job is over. */
  see(job: string, state: JobState, failed?: boolean): boolean;
  /** True when the job was in the queue when last seen before its end, so it has not begun to cost. */
  wasQueued(job: string): boolean;
  /** True when its end was seen here. */
  isOver(job: string): boolean;
  /** True when that end named an error. */
  hasFailed(job: string): boolean;
  forget(job: string): void;
}

const kept = 100_000;

export function createJobTracker(): JobTracker {
  const states = createRecent<{ readonly state: JobState; readonly queued: boolean; readonly failed: boolean }>(kept);
  return {
    see(job, state, failed = false) {
      const before = states.get(job);
      if (before?.state === state) return false;
      const queued = state === "COMPLETED" ? before?.queued === true : state === "IN_QUEUE";
      states.set(job, { state, queued, failed });
      return state === "COMPLETED";
    },
    wasQueued: (job) => states.get(job)?.queued === true,
    isOver: (job) => states.get(job)?.state === "COMPLETED",
    hasFailed: (job) => states.get(job)?.failed === true,
    forget: (job) => states.delete(job),
  };
}

/** What a status answer says. */
export interface HeardState {
  readonly state: JobState;
  /** Seconds of inference, of a job that is over (`metrics.inference_time`). */
  readonly seconds: number | undefined;
  /** Whether it names an error, of a job that is over. */
  readonly failed: boolean;
}

/** fal.ai writes `status` at the beginning of the object (fal docs, queue), so what a log says is not taken for it. */
const stateSyntax = /^(?:data:)?\s*\{.{0,100}?"status"\s*:\s*"(IN_QUEUE|IN_PROGRESS|COMPLETED)"/;
const longestStart = 200;
/** A number is whole when something else follows. */
const secondsSyntax = /^"inference_time"\s*:\s*([0-9][0-9.eE+-]*)[^0-9.eE+-]/;
const longestSeconds = 100;
/** Within a text the quotes would be escaped. */
const errorSyntax = /"error"\s*:\s*"/;

/**
 * Reads a job's states from a status answer, or from each event of its stream, in whatever pieces they come: one is told when its line is
 * all there, because the metrics stand behind the logs. Of a line it keeps the beginning and the end.
 */
export class StateReader {
  readonly #hear: (heard: HeardState) => void;
  #start = "";
  #state: JobState | undefined = undefined;
  #tail = "";
  #seconds: number | undefined = undefined;
  #failed = false;

  constructor(hear: (heard: HeardState) => void) {
    this.#hear = hear;
  }

  push(text: string): void {
    let begin = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", begin)) {
      this.#read(text.slice(begin, end));
      this.end();
      begin = end + 1;
    }
    this.#read(begin === 0 ? text : text.slice(begin));
  }

  /** The answer ends here, or the line does. */
  end(): void {
    const [state, seconds, failed] = [this.#state, this.#seconds, this.#failed];
    this.#start = this.#tail = "";
    this.#state = this.#seconds = undefined;
    this.#failed = false;
    if (state !== undefined) this.#hear({ state, seconds, failed });
  }

  #read(piece: string): void {
    if (this.#start.length < longestStart) {
      this.#start += piece.slice(0, longestStart - this.#start.length);
      this.#state = stateSyntax.exec(this.#start)?.[1] as JobState | undefined;
    }
    if (this.#state !== "COMPLETED") return;
    const text = this.#tail + piece;
    const at = text.lastIndexOf('"inference_time"');
    const seconds = at < 0 ? undefined : secondsSyntax.exec(text.slice(at, at + longestSeconds))?.[1];
    if (Number.isFinite(Number(seconds))) this.#seconds = Number(seconds);
    this.#failed ||= errorSyntax.test(text);
    this.#tail = text.slice(-longestSeconds);
  }
}

/** The latest state in a whole status answer. */
export function stateIn(text: string): HeardState | undefined {
  let latest: HeardState | undefined;
  const reader = new StateReader((heard) => (latest = heard));
  reader.push(text);
  reader.end();
  return latest;
}
