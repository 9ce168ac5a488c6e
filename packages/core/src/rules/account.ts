import type { Settings } from "../options.ts";
import type { Account } from "../store.ts";
import { nameOfAll, nameOfCaller, storeKey } from "../store-keys.ts";
import type { KnownCaller } from "./caller.ts";
import type { BudgetOption } from "./limit-set.ts";
import { toMicros } from "./price.ts";

/** The account that a caller's own money is counted on. */
export function accountOfCaller({ hash, limits }: Pick<KnownCaller, "hash" | "limits">, at: number): Account {
  return accountOf(nameOfCaller(hash), limits.budget, at);
}

/** The account that everybody's money is counted on. */
export async function accountOfAll(settings: Settings, at: number = settings.now()): Promise<Account> {
  return accountOf(await nameOfAll(settings.hashes), settings.limits.global.budget, at);
}

/** An account of this name in the period of its budget; without one, of the day. */
function accountOf(name: string, budget: BudgetOption | undefined, at: number): Account {
  return createAccounts(name, budget)(at);
}

/** The accounts of a name, period after period; the latest one is kept. */
export function createAccounts(name: string, budget: BudgetOption | undefined): (at: number) => Account {
  const limit = budget === undefined ? undefined : toMicros(budget.usd);
  let latest: { readonly period: Period; readonly account: Account } | undefined;
  return (at) => {
    const period = periodOf(budget?.per ?? "day", at);
    if (latest?.period !== period) {
      const { label, until } = period;
      latest = { period, account: { key: storeKey("money", `${name}:${label}`), limit, until } };
    }
    return latest.account;
  };
}

/** A day or month, UTC. */
interface Period {
  readonly label: string;
  readonly from: number;
  readonly until: number;
}

const lastPeriods = new Map<BudgetOption["per"], Period>();

/** Nearly every call falls into the period of the call before. */
function periodOf(per: BudgetOption["per"], at: number): Period {
  const last = lastPeriods.get(per);
  if (last !== undefined && last.from <= at && at < last.until) return last;
  const date = new Date(at);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const label = date.toISOString();
  const period =
    per === "month"
      ? { label: label.slice(0, 7), from: Date.UTC(year, month, 1), until: Date.UTC(year, month + 1, 1) }
      : { label: label.slice(0, 10), from: Date.UTC(year, month, day), until: Date.UTC(year, month, day + 1) };
  lastPeriods.set(per, period);
  return period;
}
