import {
  type Account,
  type Admission,
  type Admitted,
  type Balance,
  type Counter,
  type Outcome,
  type Store,
  costOf,
} from "./store.ts";
import type { Micros } from "./rules/price.ts";

/** Options of the memory store. */
export interface MemoryStoreOptions {
  /** Most keys held; default 100,000. Counters make room for newer ones; money is never dropped. */
  readonly maxKeys?: number;
  /** Clock in Unix milliseconds, for tests. */
  readonly now?: () => number;
}

interface Window {
  count: number;
  /** Unix time in milliseconds. */
  until: number;
}

interface Purse {
  spent: Micros;
  reserved: Micros;
  until: number;
}

interface Held {
  readonly micros: Micros;
  readonly perUnit: Micros | undefined;
  readonly accounts: readonly string[];
  readonly expires: number;
  job: string | undefined;
  /** A released job is kept, because its result may still come and cost something. */
  released: boolean;
}

interface State {
  readonly now: () => number;
  readonly maxKeys: number;
  readonly windows: Map<string, Window>;
  readonly purses: Map<string, Purse>;
  readonly held: Map<string, Held>;
  readonly jobs: Map<string, string>;
  swept: number;
}

const sweepEvery = 1000;

/**
 * A store for one process. Bounded; an entry that holds money is never dropped: when only such remain, new callers are refused.
 *
 * @example createKeyway({ store: createMemoryStore({ maxKeys: 10_000 }), ... })
 */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const state: State = {
    now: options.now ?? Date.now,
    maxKeys: options.maxKeys ?? 100_000,
    windows: new Map(),
    purses: new Map(),
    held: new Map(),
    jobs: new Map(),
    swept: 0,
  };
  return {
    admit: async (admission) => admit(state, admission),
    bind: async (reservation, job) => bind(state, reservation, job),
    settle: async (by, outcome) => settle(state, "job" in by ? state.jobs.get(by.job) : by.reservation, outcome),
    balance: async (account) => balance(state, account),
    close: async () => undefined,
  };
}

function admit(state: State, { counters, reservation }: Admission): Admitted {
  const now = state.now();
  sweep(state, now);
  for (const counter of counters) {
    const window = openWindow(state, counter, now);
    if ((window?.count ?? 0) >= counter.max) {
      return {
        ok: false,
        why: "rate",
        key: counter.key,
        retryAfterMs: (window?.until ?? now + counter.windowMs) - now,
      };
    }
  }
  const accounts = reservation?.accounts ?? [];
  for (const account of accounts) {
    const purse = state.purses.get(account.key);
    const used = (purse?.spent ?? 0) + (purse?.reserved ?? 0) + (reservation?.micros ?? 0);
    if (account.limit !== undefined && used > account.limit) {
      return { ok: false, why: "budget", key: account.key, retryAfterMs: account.until - now };
    }
  }
  if (reservation !== undefined && !hasRoom(state)) return { ok: false, why: "full" };
  for (const counter of counters) take(state, counter, now);
  if (reservation === undefined) return { ok: true };
  for (const account of accounts) openPurse(state, account).reserved += reservation.micros;
  const expires = now + reservation.leaseMs;
  const names = accounts.map(({ key }) => key);
  const { micros, perUnit } = reservation;
  state.held.set(reservation.id, { micros, perUnit, accounts: names, expires, job: undefined, released: false });
  return { ok: true };
}

function openWindow(state: State, counter: Counter, now: number): Window | undefined {
  const window = state.windows.get(counter.key);
  // A window that ends later than a new one would was opened before the clock was set back.
  const left = window === undefined ? 0 : window.until - now;
  return left > 0 && left <= counter.windowMs ? window : undefined;
}

function take(state: State, counter: Counter, now: number): void {
  const window = openWindow(state, counter, now);
  if (window !== undefined) {
    window.count += 1;
    return;
  }
  state.windows.delete(counter.key);
  if (!hasRoom(state)) state.windows.delete(state.windows.keys().next().value ?? "");
  state.windows.set(counter.key, { count: 1, until: now + counter.windowMs });
}

function openPurse(state: State, account: Account): Purse {
  let purse = state.purses.get(account.key);
  if (purse === undefined) {
    purse = { spent: 0, reserved: 0, until: account.until };
    state.purses.set(account.key, purse);
  }
  return purse;
}

function hasRoom(state: State): boolean {
  const held = state.purses.size + state.held.size;
  if (held >= state.maxKeys) return false;
  while (state.windows.size > 0 && held + state.windows.size >= state.maxKeys) {
    state.windows.delete(state.windows.keys().next().value ?? "");
  }
  return true;
}

function bind(state: State, reservation: string, job: string): void {
  const held = state.held.get(reservation);
  if (held === undefined) return;
  held.job = job;
  state.jobs.set(job, reservation);
}

function settle(state: State, id: string | undefined, outcome: Outcome): Micros | null {
  sweep(state, state.now());
  return id === undefined ? null : charge(state, id, outcome);
}

function charge(state: State, id: string, outcome: Outcome): Micros | null {
  const held = state.held.get(id);
  if (held === undefined) return null;
  const actual = costOf(held, outcome);
  if (held.released && actual === 0) return null;
  for (const key of held.accounts) {
    const purse = state.purses.get(key);
    if (purse === undefined) continue;
    if (!held.released) purse.reserved -= held.micros;
    purse.spent += actual;
  }
  if (actual === 0 && held.job !== undefined) held.released = true;
  else forget(state, id, held);
  return actual;
}

function forget(state: State, id: string, held: Held): void {
  if (held.job !== undefined) state.jobs.delete(held.job);
  state.held.delete(id);
}

function balance(state: State, account: string): Balance {
  sweep(state, state.now());
  const purse = state.purses.get(account);
  return { spent: purse?.spent ?? 0, reserved: purse?.reserved ?? 0 };
}

/** Charges what expired and forgets what is over; looks at everything at most once a second. */
function sweep(state: State, now: number): void {
  if (Math.abs(now - state.swept) < sweepEvery) return;
  state.swept = now;
  for (const [id, held] of state.held) {
    if (held.expires > now) continue;
    if (!held.released) charge(state, id, "whole");
    forget(state, id, held);
  }
  for (const [key, window] of state.windows) if (window.until <= now) state.windows.delete(key);
  for (const [key, purse] of state.purses) if (purse.until <= now && purse.reserved === 0) state.purses.delete(key);
}
