import type { Hashes } from "./hash.ts";
import { type Soon, andThen } from "./soon.ts";

/** What stands under a name. */
type Kept =
  | "delivery"
  | "job"
  | "jobs"
  | "jobs-of"
  | "money"
  | "paused"
  | "pending"
  | "replay"
  | "requests"
  | "streams"
  | "uploads";

/** A name in the store. The 2 is the version of what is kept: processes of two releases that share a store must mean the same by a name. */
export function storeKey(kept: Kept, name: string): string {
  return `keyway:2:${kept}:${name}`;
}

/** What stores, events and logs know a caller by. */
export function hashOfCaller(id: string, hashes: Hashes): Soon<string> {
  return hashes.of(`caller ${id}`);
}

/** The name by which a caller's own calls, places and money are counted. */
export function nameOfCaller(hash: string): string {
  return `caller:${hash}`;
}

/** The name by which everybody's are counted. */
export function nameOfAll(hashes: Hashes): Soon<string> {
  return andThen(hashes.of("global"), (hash) => `global:${hash}`);
}
