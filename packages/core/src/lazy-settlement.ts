import { settleOpenJobs } from "./job.ts";
import type { Settings } from "./options.ts";
import { accountOfCaller } from "./rules/account.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Account } from "./store.ts";
import { type TokenBuckets, createTokenBuckets } from "./token-bucket.ts";

const oldestJobs = 3;
const looksPerSecond = 2;
const looks = new WeakMap<Settings["store"], TokenBuckets>();

/**
 * Settles a refused caller's oldest open jobs that are over, and answers how many were. No rate counts refusals, so this is what keeps
 * them from having fal.ai asked without end. The refusal stands when the store cannot tell.
 */
export async function lookAfter(caller: KnownCaller, settings: Settings): Promise<number> {
  const buckets = looks.get(settings.store) ?? createTokenBuckets(looksPerSecond, () => settings.now());
  looks.set(settings.store, buckets);
  const account = (at: number): Account => accountOfCaller(caller, at);
  try {
    buckets.take(caller.hash);
    return await settleOpenJobs(account, oldestJobs, settings);
  } catch {
    return 0;
  }
}
