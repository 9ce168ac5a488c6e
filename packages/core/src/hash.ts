import type { Digests } from "./digests.ts";
import { createRecent } from "./recent.ts";
import { type Soon, andThen } from "./soon.ts";

/** SHA-256 of namespace and id, hex, 32 characters: what stores, events and logs know callers and jobs by. */
export interface Hashes {
  /** For ids that come again: the latest ones are kept. */
  of(id: string): Soon<string>;
  /** For ids that hardly do, such as a job's. */
  once(id: string): Soon<string>;
}

const kept = 20_000;
const longestKept = 200;
const length = 32;

export function createHashes(namespace: string, { sha256 }: Digests): Hashes {
  const known = createRecent<string>(kept);
  /** With its length, so that no two namespaces and ids make one text. */
  const prefix = `keyway ${namespace.length} ${namespace}`;

  function compute(id: string): Soon<string> {
    return andThen(sha256(`${prefix} ${id}`), (text) => text.slice(0, length));
  }

  function keep(id: string, hash: string): string {
    if (id.length <= longestKept) known.set(id, hash);
    return hash;
  }

  return {
    of(id) {
      const before = known.get(id);
      if (before !== undefined) return before;
      return andThen(compute(id), (hash) => keep(id, hash));
    },
    once: compute,
  };
}
