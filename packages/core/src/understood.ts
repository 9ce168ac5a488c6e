import type { Addressed } from "./addressing.ts";
import type { Call } from "./call.ts";
import type { Head } from "./head.ts";
import { createRecent } from "./recent.ts";
import type { Endpoint } from "./rules/endpoint.ts";

/** What a target comes to under these options, whoever calls: a job's status is asked for again and again. */
export interface Understood {
  readonly call: Call;
  readonly endpoint: Endpoint | undefined;
  /** The query to send upstream. */
  readonly query: string | null;
}

/** Targets that were let through lately. */
export interface UnderstoodTargets {
  find(address: Addressed, head: Head): Understood | undefined;
  keep(address: Addressed, understood: Understood): void;
}

const kept = 12_000;
const longestKept = 300;
/** A job is asked about every half second or so, and when it is over no more. */
const keptFor = 15_000;

export function createUnderstoodTargets(): UnderstoodTargets {
  const known = createRecent<Understood>(kept, keptFor);
  return {
    find({ text }, { method, upgrade }) {
      const found = known.get(text);
      const isSame = found?.call.method === method && (found.call.kind === "realtime") === upgrade;
      return isSame ? found : undefined;
    },
    keep({ text }, understood) {
      if (text.length <= longestKept) known.set(text, understood);
    },
  };
}
