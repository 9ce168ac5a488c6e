import { createRecent } from "./recent.ts";

/** What fal.ai last said of a job. */
export type JobState = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";

/** Follows jobs in this process by what passes through it, so that no store has to be asked on a poll. */
export interface JobTracker {
  /** Notes what a status answer said. True when it says for the first time here that the job is over. */
  see(job: string, state: JobState): boolean;
  /** True when the job was in the queue when last seen before its end, so it has not begun to cost. */
  wasQueued(job: string): boolean;
  forget(job: string): void;
}

const kept = 100_000;

export function createJobTracker(): JobTracker {
  const states = createRecent<{ readonly state: JobState; readonly queued: boolean }>(kept);
  return {
    see(job, state) {
      const before = states.get(job);
      if (before?.state === state) return false;
      states.set(job, { state, queued: state === "COMPLETED" ? before?.queued === true : state === "IN_QUEUE" });
      return state === "COMPLETED";
    },
    wasQueued: (job) => states.get(job)?.queued === true,
    forget: (job) => states.delete(job),
  };
}

const statusSyntax = /(?:^|\n)(?:data:)?\s*\{[^\n]{0,100}?"status"\s*:\s*"([A-Z_]{1,20})"/g;

/**
 * Reads a job's latest state from a piece of a status answer or of its event stream: fal writes `status` at the beginning
 * of the object (fal docs, queue), so what a log says is not taken for it.
 */
export function stateIn(text: string): { state: JobState; seconds: number | undefined } | undefined {
  let state: string | undefined;
  statusSyntax.lastIndex = 0;
  for (let found = statusSyntax.exec(text); found !== null; found = statusSyntax.exec(text)) state = found[1];
  if (state !== "IN_QUEUE" && state !== "IN_PROGRESS" && state !== "COMPLETED") return undefined;
  const time = state === "COMPLETED" ? /"inference_time"\s*:\s*([0-9][0-9.eE+-]*)/.exec(text)?.[1] : undefined;
  const seconds = Number(time);
  return { state, seconds: time !== undefined && Number.isFinite(seconds) ? seconds : undefined };
}
