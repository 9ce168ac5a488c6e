import type { HeaderList } from "../head.ts";
import type { Allowance, Counter } from "../store.ts";

/** RateLimit-Policy and RateLimit (IETF draft-ietf-httpapi-ratelimit-headers). */
export function rateHeaders(
  counters: readonly (Counter & { label?: string })[],
  allowances: readonly Allowance[],
): HeaderList {
  if (counters.length === 0) return [];
  const name = (counter: Counter & { label?: string }): string => `"${counter.label ?? "rate"}"`;
  const policy = counters.map((counter) => `${name(counter)};q=${counter.max};w=${Math.ceil(counter.windowMs / 1000)}`);
  const left = counters.map((counter, index) => {
    const { remaining, resetMs } = allowances[index] ?? { remaining: 0, resetMs: 0 };
    return `${name(counter)};r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
  });
  return [
    ["ratelimit-policy", policy.join(", ")],
    ["ratelimit", left.join(", ")],
  ];
}
