import type { Call } from "../call.ts";
import { ProxyError, retryAfter } from "../errors.ts";
import type { Settings } from "../options.ts";
import type { Account, Admission, Admitted, Counter, Outcome, Reservation } from "../store.ts";
import type { KnownCaller } from "./caller.ts";
import type { Price } from "./price.ts";
import { toMicros } from "./price.ts";

/** Money per calendar period, UTC. */
export interface BudgetOption {
  readonly usd: number;
  readonly per: "day" | "month";
}

/** Calls that spend (run, stream, submit, realtime, token) per window. */
export interface RateOption {
  readonly max: number;
  readonly per: "second" | "minute" | "hour" | "day";
}

export interface LimitSet {
  readonly budget?: BudgetOption;
  readonly requests?: RateOption;
}

/** Limits for each caller and for all together. */
export interface LimitsOption {
  readonly caller?: LimitSet;
  readonly global?: LimitSet;
}

const windows = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/**
 * Asks the store for what the call needs, in one question; throws 402, 429 or 500. Rates are asked before a body is read, money when
 * everything else has agreed. Answers what was set aside.
 */
export async function admitCall(
  ask: "rates" | "money" | "both",
  call: Call,
  caller: KnownCaller,
  price: Price | undefined,
  settings: Settings,
): Promise<Reservation | undefined> {
  const counters = ask === "money" ? [] : await countersOf(call, caller, settings);
  const reservation =
    ask === "rates" || price === undefined ? undefined : await reservationOf(call, caller, price, settings);
  if (counters.length === 0 && reservation === undefined) return undefined;
  const admission: Admission = { counters, reservation };
  const answer = await askToAdmit(admission, settings);
  if (!answer.ok) throw refuse(answer);
  return reservation;
}

/** A store that was too slow may still have set the money aside, so it is given back. */
async function askToAdmit(admission: Admission, settings: Settings): Promise<Admitted> {
  try {
    return await settings.askStore((store) => store.admit(admission));
  } catch (error) {
    const { reservation } = admission;
    if (reservation !== undefined)
      settings.askStore((store) => store.settle({ reservation: reservation.id }, "release")).catch(() => undefined);
    throw error;
  }
}

/** What a finished call came to, or undefined when it does not end a job. */
export function outcomeOf(kind: Call["kind"], status: number, units: number | undefined): Outcome | undefined {
  if (kind === "realtime") return status === 101 ? "whole" : "release";
  if (kind === "submit") return status >= 200 && status < 300 ? undefined : "release";
  const unrun = [401, 403, 404, 405, 429].includes(status);
  if (kind === "result" && (unrun || status === 400 || status < 200)) return undefined;
  if (status >= 500 || unrun || units === 0) return "release";
  return units === undefined ? "whole" : { units };
}

/** The accounts that money of this caller is counted on, for balances too. */
export async function accountsOf(
  callerHash: string,
  settings: Settings,
): Promise<{ caller: Account; global: Account }> {
  const { caller, global } = settings.limits;
  return {
    caller: accountOf(`caller:${callerHash}`, caller.budget, settings),
    global: accountOf(`global:${await settings.hashes.of("global")}`, global.budget, settings),
  };
}

async function reservationOf(call: Call, caller: KnownCaller, price: Price, settings: Settings): Promise<Reservation> {
  const accounts = await accountsOf(caller.hash, settings);
  const leaseMs =
    call.kind === "submit" ? settings.timeouts.jobLease : settings.timeouts.runHead + settings.timeouts.streamIdle;
  return {
    id: crypto.randomUUID(),
    micros: price.reserve,
    perUnit: price.perUnit,
    accounts: [accounts.caller, accounts.global],
    leaseMs,
  };
}

function accountOf(name: string, budget: BudgetOption | undefined, settings: Settings): Account {
  const now = new Date(settings.now());
  const monthly = budget?.per === "month";
  const day = now.toISOString().slice(0, monthly ? 7 : 10);
  const until = monthly
    ? Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)
    : Date.UTC(now.getUTCFullYear(), now.getUTCMonth(), now.getUTCDate() + 1);
  return {
    key: `keyway:1:money:${name}:${day}`,
    limit: budget === undefined ? undefined : toMicros(budget.usd),
    until,
  };
}

async function countersOf(call: Call, caller: KnownCaller, settings: Settings): Promise<Counter[]> {
  if (call.kind === "upload") {
    if (settings.uploads === false) throw new ProxyError("uploads_refused");
    return [
      { key: `keyway:1:uploads:caller:${caller.hash}`, max: settings.uploads.perMinute, windowMs: windows.minute },
    ];
  }
  if (call.requestId !== undefined) return [];
  const { caller: own, global } = settings.limits;
  const counters: Counter[] = [];
  if (own.requests !== undefined) counters.push(counterOf(`caller:${caller.hash}`, own.requests));
  if (global.requests !== undefined)
    counters.push(counterOf(`global:${await settings.hashes.of("global")}`, global.requests));
  return counters;
}

function counterOf(name: string, rate: RateOption): Counter {
  return { key: `keyway:1:requests:${rate.per}:${name}`, max: rate.max, windowMs: windows[rate.per] };
}

function refuse(answer: Exclude<Admitted, { ok: true }>): ProxyError {
  switch (answer.why) {
    case "full":
      return new ProxyError("store_full", {
        log: "the store is full of open reservations: raise maxKeys or use a shared store",
      });
    case "budget":
      return new ProxyError("budget_exceeded", { headers: retryAfter(answer.retryAfterMs) });
    case "rate":
      return new ProxyError("rate_limited", { headers: retryAfter(answer.retryAfterMs) });
  }
}
