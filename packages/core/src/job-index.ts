import type { Settings } from "./options.ts";
import type { KnownCaller } from "./rules/caller.ts";
import { type Soon, andThen } from "./soon.ts";
import type { JobList } from "./store.ts";
import { storeKey } from "./store-keys.ts";

const mostOfCaller = 1000;
const mostPending = 10_000;

/** The list of jobs whose result is yet to be delivered to the app. */
export function pendingList(settings: Settings): Soon<string> {
  return andThen(settings.hashes.of("pending"), (hash) => storeKey("pending", hash));
}

/** The lists on which a new job can be found. A job of nobody in particular stands on no caller's list. */
export function listsOf(caller: KnownCaller, delivers: boolean, settings: Settings): Soon<readonly JobList[]> {
  const own = caller.isPublic ? [] : [{ key: caller.jobs, most: mostOfCaller }];
  if (!delivers) return own;
  return andThen(pendingList(settings), (key) => [...own, { key, most: mostPending }]);
}
