import type { Settings } from "./options.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { JobList } from "./store.ts";

const mostOfCaller = 1000;
const mostPending = 10_000;

/** The list of a caller's own jobs. */
export function listOfCaller(callerHash: string): string {
  return `keyway:2:jobs-of:${callerHash}`;
}

/** The list of jobs whose result is yet to be delivered to the app. */
export async function pendingList(settings: Settings): Promise<string> {
  return `keyway:2:pending:${await settings.hashes.of("pending")}`;
}

/** The lists on which a new job can be found. A job of nobody in particular stands on no caller's list. */
export async function listsOf(caller: KnownCaller, delivers: boolean, settings: Settings): Promise<JobList[]> {
  const lists: JobList[] = [];
  if (!caller.isPublic) lists.push({ key: listOfCaller(caller.hash), most: mostOfCaller });
  if (delivers) lists.push({ key: await pendingList(settings), most: mostPending });
  return lists;
}
