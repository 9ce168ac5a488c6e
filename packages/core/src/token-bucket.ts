import { ProxyError, retryAfter } from "./errors.ts";
import { createRecent } from "./recent.ts";

/** Counts what is read often in this process, so that it costs no store trip: polls of a job, lists of jobs, looks at open jobs. */
export interface TokenBuckets {
  /** Takes a token out of a bucket; throws `rate_limited` when there is none. */
  take(bucket: string): void;
}

const kept = 40_000;

/** Each bucket holds two seconds' worth, and one token at least, and is full at first. */
export function createTokenBuckets(perSecond: number, now: () => number): TokenBuckets {
  const size = Math.max(1, 2 * perSecond);
  const buckets = createRecent<{ level: number; at: number }>(kept);
  return {
    take(name) {
      const time = now();
      const known = buckets.get(name);
      const bucket = known ?? { level: size, at: time };
      if (known === undefined) buckets.set(name, bucket);
      const level = Math.min(size, bucket.level + (Math.max(0, time - bucket.at) * perSecond) / 1000);
      bucket.level = level < 1 ? level : level - 1;
      bucket.at = time;
      if (level < 1)
        throw new ProxyError("rate_limited", {
          message: "This is read too often.",
          headers: retryAfter(Math.ceil(1000 / perSecond)),
        });
    },
  };
}
