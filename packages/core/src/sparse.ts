import type { ErrorCode } from "./errors.ts";
import type { Settings } from "./options.ts";

/** What fails for every call alike is said once in a while. Milliseconds. */
const lineEvery = 10_000;

/** Lines of the log that a store which is down, or a stranger at the webhook door, would write for every call. */
export type SparseLine = "settle" | (typeof codes)[number];

const codes = ["store_unavailable", "keys_unavailable", "webhooks_missing", "body_too_large"] as const;

/** Whether an error of this code is one of these lines. */
export function isSparse(code: ErrorCode): code is (typeof codes)[number] {
  return codes.some((sparse) => sparse === code);
}

/** Whether it is time to say such a line again. */
export function isDue({ said, now: clock }: Pick<Settings, "said" | "now">, line: SparseLine): boolean {
  const now = clock();
  if (Math.abs(now - (said.get(line) ?? Number.NEGATIVE_INFINITY)) < lineEvery) return false;
  said.set(line, now);
  return true;
}
