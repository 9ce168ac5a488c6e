/** What fal.ai last said of a job. */
export type JobState = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";

/** Follows jobs in this process by what passes through it, so that no store has to be asked on a poll. */
export interface JobTracker {
  /** Notes what a status answer said. True when it says for the first time here that the job is over. */
  see(job: string, state: JobState): boolean;
  /** True when the job was in the queue when last seen, so it has not begun to cost. */
  wasQueued(job: string): boolean;
  forget(job: string): void;
}

const kept = 50_000;

export function createJobTracker(): JobTracker {
  const states = new Map<string, JobState>();
  return {
    see(job, state) {
      const before = states.get(job);
      states.delete(job);
      if (states.size >= kept) states.delete(states.keys().next().value ?? "");
      states.set(job, state);
      return state === "COMPLETED" && before !== "COMPLETED";
    },
    wasQueued: (job) => states.get(job) === "IN_QUEUE",
    forget: (job) => void states.delete(job),
  };
}

const decoder = new TextDecoder("latin1");

/** Reads a job's state from a piece of a status answer: fal writes `status` first in the object (fal docs, queue). */
export function stateIn(chunk: Uint8Array): { state: JobState; seconds: number | undefined } | undefined {
  const state = /"status"\s*:\s*"(IN_QUEUE|IN_PROGRESS|COMPLETED)"/.exec(decoder.decode(chunk.subarray(0, 120)))?.[1];
  if (state !== "IN_QUEUE" && state !== "IN_PROGRESS" && state !== "COMPLETED") return undefined;
  const time =
    state === "COMPLETED" ? /"inference_time"\s*:\s*([0-9][0-9.eE+-]*)/.exec(decoder.decode(chunk))?.[1] : undefined;
  const seconds = Number(time);
  return { state, seconds: time !== undefined && Number.isFinite(seconds) ? seconds : undefined };
}
