import { ProxyError, retryAfter } from "./errors.ts";

/** Counts reads of each job in this process, so that polling costs no store trip. */
export interface Polls {
  /** Throws `rate_limited` beyond the limit. */
  count(job: string): void;
}

const kept = 20_000;

/** A token bucket per job that holds two seconds' worth. */
export function createPolls(perSecond: number, now: () => number): Polls {
  const buckets = new Map<string, { level: number; at: number }>();
  return {
    count(job) {
      const time = now();
      const bucket = buckets.get(job) ?? { level: 2 * perSecond, at: time };
      const level = Math.min(2 * perSecond, bucket.level + (Math.max(0, time - bucket.at) * perSecond) / 1000);
      buckets.delete(job);
      if (buckets.size >= kept) buckets.delete(buckets.keys().next().value ?? "");
      buckets.set(job, { level: level < 1 ? level : level - 1, at: time });
      if (level < 1)
        throw new ProxyError("rate_limited", {
          message: "This job's status is read too often.",
          headers: retryAfter(1000),
        });
    },
  };
}
