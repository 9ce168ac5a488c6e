import { ProxyError, retryAfter } from "./errors.ts";
import { createRecent } from "./recent.ts";

/** Counts reads of each job in this process, so that polling costs no store trip. */
export interface Polls {
  /** Throws `rate_limited` beyond the limit. */
  count(job: string): void;
}

const kept = 40_000;

/** A token bucket per job that holds two seconds' worth. */
export function createPolls(perSecond: number, now: () => number): Polls {
  const buckets = createRecent<{ level: number; at: number }>(kept);
  return {
    count(job) {
      const time = now();
      const known = buckets.get(job);
      const bucket = known ?? { level: 2 * perSecond, at: time };
      if (known === undefined) buckets.set(job, bucket);
      const level = Math.min(2 * perSecond, bucket.level + (Math.max(0, time - bucket.at) * perSecond) / 1000);
      bucket.level = level < 1 ? level : level - 1;
      bucket.at = time;
      if (level < 1)
        throw new ProxyError("rate_limited", {
          message: "This is read too often.",
          headers: retryAfter(1000),
        });
    },
  };
}
