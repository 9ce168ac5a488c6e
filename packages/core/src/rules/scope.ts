import type { Hashes } from "../hash.ts";
import { createRecent } from "../recent.ts";
import { type Soon, andThen } from "../soon.ts";
import type { Account, Counter, Slot } from "../store.ts";
import { nameOfAll, nameOfCaller, storeKey } from "../store-keys.ts";
import { createAccounts } from "./account.ts";
import type { KnownCaller } from "./caller.ts";
import type { Endpoint } from "./endpoint.ts";
import type { LimitSet, RateOption } from "./limit-set.ts";

const windows = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** A counter, as the RateLimit fields name it. */
export interface NamedCounter extends Counter {
  readonly label: string;
  /** Its part of `RateLimit-Policy`. */
  readonly policy: string;
}

/** One set of limits and whom it holds for, with what a call asks the store for on its behalf. */
export interface Scope {
  readonly name: string;
  readonly label: string;
  readonly limits: LimitSet;
  /** Where its money is counted at a time. */
  readonly accountAt: (time: number) => Account;
  readonly requests: NamedCounter | undefined;
  readonly jobs: Slot | undefined;
  readonly streams: Slot | undefined;
}

/** The scopes that calls fall under. */
export interface Scopes {
  of(caller: KnownCaller, endpoint: Endpoint | undefined): Soon<readonly Scope[]>;
}

interface Known {
  readonly caller: KnownCaller;
  readonly scopes: readonly Scope[];
}

const kept = 10_000;

/** Keys are texts that are long to build and to look up anew, so each caller's latest ones are kept. */
export function createScopes(hashes: Hashes, everybody: LimitSet): Scopes {
  const known = createRecent<Known>(kept);
  return {
    of(caller, endpoint) {
      const key = endpoint?.limits === undefined ? caller.hash : `${caller.hash} ${endpoint.pattern}`;
      const before = known.get(key);
      if (before !== undefined && isSame(before.caller, caller)) return before.scopes;
      return andThen(makeScopes(caller, endpoint, hashes, everybody), (scopes) => {
        known.set(key, { caller, scopes });
        return scopes;
      });
    },
  };
}

function isSame(one: KnownCaller, other: KnownCaller): boolean {
  return one.limits === other.limits && one.group === other.group;
}

function makeScopes(
  { hash, group, limits }: KnownCaller,
  endpoint: Endpoint | undefined,
  hashes: Hashes,
  everybody: LimitSet,
): Soon<readonly Scope[]> {
  return andThen(nameOfAll(hashes), (all) => {
    const mine = nameOfCaller(hash);
    const scopes = [
      createScope("caller", mine, limits),
      createScope("global", all, everybody),
      ...(group === undefined ? [] : [createScope("group", `group:${group}`, limits)]),
    ];
    const { caller: own, global } = endpoint?.limits ?? {};
    if (endpoint === undefined || (own ?? global) === undefined) return scopes;
    return andThen(hashes.of(`endpoint ${endpoint.pattern}`), (pattern) => [
      ...scopes,
      ...(own === undefined ? [] : [createScope("endpoint", `endpoint:${pattern}:${mine}`, own)]),
      ...(own === undefined || group === undefined
        ? []
        : [createScope("endpoint-group", `endpoint:${pattern}:group:${group}`, own)]),
      ...(global === undefined ? [] : [createScope("endpoint-global", `endpoint:${pattern}`, global)]),
    ]);
  });
}

function createScope(label: string, name: string, limits: LimitSet): Scope {
  const { requests, jobs, streams } = limits;
  return {
    name,
    label,
    limits,
    accountAt: createAccounts(name, limits.budget),
    requests: requests && createCounter(label, storeKey("requests", `${requests.per}:${name}`), requests),
    jobs: jobs === undefined ? undefined : { key: storeKey("jobs", name), max: jobs },
    streams: streams === undefined ? undefined : { key: storeKey("streams", name), max: streams },
  };
}

/** A counter of a rate. */
export function createCounter(label: string, key: string, { max, per }: RateOption): NamedCounter {
  const windowMs = windows[per];
  return { key, max, windowMs, label, policy: `"${label}";q=${max};w=${windowMs / 1000}` };
}
