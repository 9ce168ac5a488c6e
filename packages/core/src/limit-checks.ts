import { invalidOption } from "./errors.ts";
import type { KeywayOptions } from "./options.ts";
import { whyNotLimits } from "./rules/limit-set.ts";
import { checkPositive } from "./number-checks.ts";

/** Refuses limits that are none, of the app and of its endpoints, and budgets that would not hold. */
export function checkLimits({ limits, endpoints }: KeywayOptions): void {
  if (limits !== undefined) checkScopes("limits", limits, endpoints);
  for (const [pattern, rule] of rulesOf(endpoints)) {
    if (typeof rule !== "object" || rule === null || !("limits" in rule) || rule.limits === undefined) continue;
    checkScopes(`endpoints["${pattern}"].limits`, rule.limits, { [pattern]: rule });
  }
}

function checkScopes(place: string, limits: unknown, endpoints: unknown): void {
  if (typeof limits !== "object" || limits === null)
    throw invalidOption(
      `${place} are for each caller and for all: limits: { caller: { requests: { max: 100, per: "minute" } } }`,
    );
  for (const [scope, set] of Object.entries(limits)) {
    if (scope === "pollsPerSecond" && place === "limits") checkPositive("limits.pollsPerSecond", set);
    else if (scope !== "caller" && scope !== "global")
      throw invalidOption(`${place} has caller and global, no ${scope}`);
    else if (set !== undefined) checkLimitSet(`${place}.${scope}`, set, endpoints);
  }
}

function checkLimitSet(place: string, set: unknown, endpoints: unknown): void {
  const why = whyNotLimits(place, set);
  if (why !== undefined) throw invalidOption(why);
  if (Object(set).budget !== undefined) checkPriced(endpoints);
}

function rulesOf(endpoints: unknown): [string, unknown][] {
  return isRuleMap(endpoints) ? Object.entries(endpoints) : [];
}

function isRuleMap(endpoints: unknown): endpoints is object {
  return typeof endpoints === "object" && endpoints !== null && !Array.isArray(endpoints);
}

/** A budget that some endpoints do not count against would not hold. */
function checkPriced(endpoints: unknown): void {
  const rules = rulesOf(endpoints);
  const unpriced = rules.find(
    ([, rule]) => typeof rule !== "object" || rule === null || !("price" in rule) || rule.price === undefined,
  );
  if (unpriced === undefined && isRuleMap(endpoints)) return;
  const name = unpriced?.[0] ?? "fal-ai/flux/**";
  throw invalidOption(
    `a budget needs a price for every endpoint: endpoints: { "${name}": { price: { perCall: 0.04 } } }, or { perCall: 0 } where it is free`,
  );
}
