import type { HeaderList } from "../head.ts";
import type { Allowance } from "../store.ts";
import type { NamedCounter } from "./scope.ts";

/** RateLimit-Policy and RateLimit (IETF draft-ietf-httpapi-ratelimit-headers). */
export function rateHeaders(counters: readonly NamedCounter[], allowances: readonly Allowance[]): HeaderList {
  let policies = "";
  let lefts = "";
  let index = 0;
  for (const { label, policy } of counters) {
    const { remaining, resetMs } = allowances[index] ?? { remaining: 0, resetMs: 0 };
    const separator = index === 0 ? "" : ", ";
    policies += separator + policy;
    lefts += `${separator}"${label}";r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
    index += 1;
  }
  if (index === 0) return [];
  return [
    ["ratelimit-policy", policies],
    ["ratelimit", lefts],
  ];
}
