import { EventEmitter, once } from "node:events";
import type { WholeAnswer } from "./answer.ts";
import type { LogLevel } from "./app.ts";

/** The only three states; failed and cancelled jobs are COMPLETED with an error (fal docs, queue). */
export type JobStatus = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";

/** One line of a job's log, flat and with labels: official clients read the one or the other. */
export interface LogEntry {
  readonly timestamp: string;
  readonly message: string;
  readonly level: LogLevel;
  readonly source: "USER";
  readonly labels: { readonly level: LogLevel; readonly source: "USER" };
}

/** A job as it stood at one change: what a status stream tells, one event each. */
export interface Moment {
  readonly status: JobStatus;
  /** Jobs ahead; meaningful while IN_QUEUE. */
  readonly position: number;
  /** How many log lines there were. */
  readonly logs: number;
}

/** One queue request. */
export interface Job {
  readonly id: string;
  /** `owner/alias`, with its namespace. */
  readonly app: string;
  /** Fires when the job is to stop: cancelled, or the emulator closes. */
  readonly stop: AbortController;
  readonly logs: LogEntry[];
  /** Every change so far; the last one is the present. */
  readonly moments: Moment[];
  readonly events: EventEmitter;
  /** What the result call answers; undefined until COMPLETED. */
  answer: WholeAnswer | undefined;
  /** Milliseconds since the epoch; undefined while in the queue. */
  startedAt: number | undefined;
  endedAt: number | undefined;
}

export function createJob(id: string, app: string): Job {
  const events = new EventEmitter();
  events.setMaxListeners(0);
  return {
    id,
    app,
    stop: new AbortController(),
    logs: [],
    moments: [],
    events,
    answer: undefined,
    startedAt: undefined,
    endedAt: undefined,
  };
}

export function momentOf(job: Job): Moment {
  return job.moments.at(-1) ?? { status: "IN_QUEUE", position: 0, logs: 0 };
}

/** Adds a moment in which the job has this status and place, if that is news. */
export function move(job: Job, status: JobStatus, position = 0): void {
  const logs = job.logs.length;
  const last = job.moments.at(-1);
  if (last?.status === status && last.position === position && last.logs === logs) return;
  job.moments.push({ status, position, logs });
  job.events.emit("change");
}

/** Resolves when the job is COMPLETED; rejects when the signal fires. */
export async function whenDone(job: Job, signal: AbortSignal): Promise<void> {
  while (momentOf(job).status !== "COMPLETED") await once(job.events, "change", { signal });
}

/** The present moment, then every following one, until COMPLETED or the signal. */
export async function* follow(job: Job, signal: AbortSignal): AsyncGenerator<Moment> {
  for (let at = Math.max(0, job.moments.length - 1); ; at += 1) {
    while (at >= job.moments.length) await once(job.events, "change", { signal });
    const moment = job.moments[at];
    if (moment === undefined) return;
    yield moment;
    if (moment.status === "COMPLETED") return;
  }
}
