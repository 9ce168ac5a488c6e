import { settleOpenJobs } from "./job.ts";
import type { Settings } from "./options.ts";
import { type Polls, createPolls } from "./polls.ts";
import { accountOfCaller } from "./rules/account.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Account } from "./store.ts";

const oldestJobs = 3;
const looksPerSecond = 2;
const looks = new WeakMap<Settings["store"], Polls>();

/**
 * Settles a refused caller's oldest open jobs that are over, and answers how many were. No rate counts refusals, so this is what keeps
 * them from having fal.ai asked without end. The refusal stands when the store cannot tell.
 */
export async function lookAfter(caller: KnownCaller, settings: Settings): Promise<number> {
  const counted = looks.get(settings.store) ?? createPolls(looksPerSecond, () => settings.now());
  looks.set(settings.store, counted);
  const account = (at: number): Account => accountOfCaller(caller, at);
  try {
    counted.count(caller.hash);
    return await settleOpenJobs(account, oldestJobs, settings);
  } catch {
    return 0;
  }
}
