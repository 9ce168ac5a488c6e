import { type Expiring, createExpiring, firstOf } from "./expiring.ts";
import { Holds } from "./holds.ts";
import { type JobLists, createJobLists } from "./job-lists.ts";
import type { Admission, Admitted, Allowance, Counter, Store } from "./store.ts";
import { type Window, usedOf, waitFor, windowOf } from "./windows.ts";

/** Options of the memory store. */
export interface MemoryStoreOptions {
  /** Most keys held; default 100,000. Rates make room for newer ones; money, places and claims are never dropped. */
  readonly maxKeys?: number;
  /** Clock in Unix milliseconds, for tests. */
  readonly now?: () => number;
}

interface State {
  readonly now: () => number;
  readonly maxKeys: number;
  readonly windows: Map<string, Window>;
  readonly holds: Holds;
  /** What is known of jobs, and other values that may go; the oldest go when room is needed. */
  readonly notes: Expiring;
  readonly lists: JobLists;
  readonly values: Expiring;
  swept: number;
}

const sweepEvery = 1000;

/**
 * A store for one process. Bounded; an entry that holds money, a place or a claim is never dropped: when only such remain, new callers
 * are refused.
 *
 * @example createKeyway({ store: createMemoryStore({ maxKeys: 10_000 }), ... })
 */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const now = options.now ?? Date.now;
  const notes = createExpiring(now);
  const holds = new Holds(now);
  const state: State = {
    now,
    maxKeys: options.maxKeys ?? 100_000,
    windows: new Map(),
    holds,
    notes,
    lists: createJobLists(notes, now),
    values: createExpiring(now),
    swept: 0,
  };
  const known = (key: string): string | null => state.values.get(key) ?? state.notes.get(key);
  return {
    admit: (admission) => admit(state, admission),
    bind(hold, job, note, leaseMs, lists = []) {
      notes.add(job, note, leaseMs);
      state.lists.add(job, lists);
      holds.bind(hold, job, note, leaseMs);
    },
    async mark(job, note, leaseMs, lists) {
      notes.set(job, note, leaseMs);
      state.lists.remove(job, lists);
    },
    listed: async (list, read) => state.lists.read(list, read),
    end: async (job, seconds) => holds.end(job, seconds),
    async settle(name, outcome) {
      sweep(state);
      return holds.settle(name, outcome);
    },
    extend: async (hold, leaseMs, micros) => holds.extend(hold, leaseMs, micros),
    correct: async (job, micros) => holds.correct(job, micros),
    async balances(accounts) {
      sweep(state);
      return accounts.map((account) => holds.balance(account));
    },
    openJobs: async (account, most) => holds.openJobs(account, most),
    claim: async (key, leaseMs) => known(key) === null && (state.values.set(key, "", leaseMs), true),
    async put(key, value, leaseMs, mayGo = false) {
      if (!mayGo) return state.values.set(key, value, leaseMs);
      state.values.delete(key);
      hasRoom(state);
      notes.set(key, value, leaseMs);
    },
    get: async (key) => known(key),
    remove: async (key) => state.values.delete(key),
    close: async () => undefined,
  };
}

function admit(state: State, { gate, recall, counters, hold }: Admission): Admitted {
  const now = state.now();
  sweep(state);
  if (state.values.get(gate) !== null) return { ok: false, why: "paused" };
  const recalled = recall === undefined ? null : state.values.get(recall);
  if (recalled !== null) return { ok: false, why: "recall", value: recalled };
  for (const counter of counters) {
    const wait = waitFor(state.windows, counter, now);
    if (wait > 0) return { ok: false, why: "rate", key: counter.key, retryAfterMs: wait };
  }
  const missing = hold && state.holds.missing(hold);
  if (missing !== undefined) return { ok: false, ...missing };
  if (hold !== undefined && !hasRoom(state)) return { ok: false, why: "full" };
  const allowances = counters.map((counter) => take(state, counter, now));
  if (hold !== undefined) state.holds.open(hold);
  return { ok: true, allowances };
}

function take(state: State, counter: Counter, now: number): Allowance {
  const window = windowOf(state.windows, counter, now);
  if (window.current === 0 || keysOf(state) > state.maxKeys / 2) keepWindow(state, counter.key, window);
  window.current += 1;
  const remaining = Math.max(0, Math.floor(counter.max - usedOf(window, counter.windowMs, now)));
  return { remaining, resetMs: window.start + counter.windowMs - now };
}

/** Puts a window last in the order in which they go. As long as there is much room, that matters only for new ones. */
function keepWindow(state: State, key: string, window: Window): void {
  state.windows.delete(key);
  if (state.windows.size >= windowsOf(state) && !hasRoom(state))
    state.windows.delete(state.windows.keys().next().value ?? "");
  state.windows.set(key, window);
}

/** So many windows have their room whatever else there is: a rate that is forgotten is none. */
function windowsOf({ maxKeys }: State): number {
  return Math.floor(maxKeys / 10);
}

/**
 * Makes room by dropping the oldest of what may go, some at a time: finding the first entry of a Map whose first entries were deleted
 * takes long. False when only money, places and claims remain.
 */
function hasRoom(state: State): boolean {
  const some = Math.ceil(state.maxKeys / 100);
  if (isFull(state)) state.notes.dropOldest(some);
  if (isFull(state)) state.holds.dropCharges(some);
  const spare = Math.min(some, state.windows.size - windowsOf(state));
  if (isFull(state)) for (const key of firstOf(state.windows.keys(), spare)) state.windows.delete(key);
  if (isFull(state)) state.holds.dropReleased(some);
  return !isFull(state);
}

function isFull(state: State): boolean {
  return keysOf(state) >= state.maxKeys;
}

function keysOf(state: State): number {
  const { holds, values, windows, notes } = state;
  return holds.size + values.size() + Math.max(windows.size, windowsOf(state)) + notes.size();
}

/** Once a second: charges what was left open too long, and forgets some of what is over. */
function sweep(state: State): void {
  const now = state.now();
  if (Math.abs(now - state.swept) < sweepEvery) return;
  state.swept = now;
  state.holds.sweep();
  state.values.sweep();
  state.notes.sweep();
  state.lists.sweep();
}
