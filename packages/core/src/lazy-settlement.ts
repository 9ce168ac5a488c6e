import { settleOpenJobs } from "./job.ts";
import type { Settings } from "./options.ts";
import type { KnownCaller } from "./rules/caller.ts";
import { type TokenBuckets, createTokenBuckets } from "./token-bucket.ts";

const oldestJobs = 3;
const looksPerSecond = 2;
const looks = new WeakMap<Settings["store"], TokenBuckets>();

/**
 * Settles the oldest open jobs of a refused caller that are over, or else of his group, and answers how many were. No rate counts
 * refusals, so this is what keeps them from having fal.ai asked without end. The refusal stands when the store cannot tell.
 */
export async function lookAfter(caller: KnownCaller, settings: Settings): Promise<number> {
  const buckets = looks.get(settings.store) ?? createTokenBuckets(looksPerSecond, () => settings.now());
  looks.set(settings.store, buckets);
  try {
    buckets.take(caller.group ?? caller.hash);
    for (const { label, accountAt } of await settings.scopes.of(caller, undefined)) {
      const settled = label === "global" ? 0 : await settleOpenJobs(accountAt, oldestJobs, settings);
      if (settled > 0) return settled;
    }
    return 0;
  } catch {
    return 0;
  }
}
