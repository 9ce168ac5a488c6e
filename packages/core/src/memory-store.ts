import { type Expiring, createExpiring, firstOf } from "./expiring.ts";
import { type JobLists, createJobLists } from "./job-lists.ts";
import type { Micros } from "./rules/price.ts";
import {
  type Account,
  type Admission,
  type Admitted,
  type Allowance,
  type Balance,
  type Counter,
  type Hold,
  type HoldName,
  type JobList,
  type OpenJob,
  type Outcome,
  type Settled,
  type Store,
  costOf,
} from "./store.ts";
import { type Window, usedOf, waitFor, windowOf } from "./windows.ts";

/** Options of the memory store. */
export interface MemoryStoreOptions {
  /** Most keys held; default 100,000. Rates make room for newer ones; money, places and claims are never dropped. */
  readonly maxKeys?: number;
  /** Clock in Unix milliseconds, for tests. */
  readonly now?: () => number;
}

interface Purse {
  spent: Micros;
  reserved: Micros;
  until: number;
}

interface Held {
  readonly hold: Hold;
  /** What is set aside now; grows with `extend`. */
  micros: Micros;
  expires: number;
  since: number;
  job: string | undefined;
  note: string | undefined;
  placed: boolean;
  /** What was charged, once settled. */
  charged: Micros | undefined;
}

interface State {
  readonly now: () => number;
  readonly maxKeys: number;
  readonly windows: Map<string, Window>;
  readonly purses: Map<string, Purse>;
  readonly slots: Map<string, number>;
  readonly held: Map<string, Held>;
  readonly jobs: Map<string, string>;
  /** Holds that cost nothing so far; a late charge may still find them, so they go last but may go. */
  readonly released: Set<string>;
  /** What settled jobs were charged, for corrections; the oldest go when room is needed. */
  readonly charges: Map<string, { micros: Micros; readonly accounts: readonly string[] }>;
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
  const state: State = {
    now,
    maxKeys: options.maxKeys ?? 100_000,
    windows: new Map(),
    purses: new Map(),
    slots: new Map(),
    held: new Map(),
    jobs: new Map(),
    released: new Set(),
    charges: new Map(),
    notes,
    lists: createJobLists(notes, now),
    values: createExpiring(now),
    swept: 0,
  };
  const known = (key: string): string | null => state.values.get(key) ?? state.notes.get(key);
  return {
    admit: (admission) => admit(state, admission),
    bind: (hold, job, note, leaseMs, lists = []) => bind(state, hold, { job, note, leaseMs, lists }),
    async mark(job, note, leaseMs, lists) {
      state.notes.set(job, note, leaseMs);
      state.lists.remove(job, lists);
    },
    listed: async (list, read) => state.lists.read(list, read),
    end: async (job, seconds) => end(state, job, seconds),
    settle: async (name, outcome) => settle(state, name, outcome),
    extend: async (hold, leaseMs, micros) => extend(state, hold, leaseMs, micros),
    correct: async (job, micros) => correct(state, job, micros),
    balances: async (accounts) => accounts.map((account) => balance(state, account)),
    openJobs: async (account, most) => openJobs(state, account, most),
    claim: async (key, leaseMs) => known(key) === null && (state.values.set(key, "", leaseMs), true),
    async put(key, value, leaseMs, mayGo = false) {
      if (!mayGo) return state.values.set(key, value, leaseMs);
      state.values.delete(key);
      hasRoom(state);
      state.notes.set(key, value, leaseMs);
    },
    get: async (key) => known(key),
    remove: async (key) => state.values.delete(key),
    close: async () => undefined,
  };
}

function admit(state: State, { gate, recall, counters, hold }: Admission): Admitted {
  const now = state.now();
  sweep(state, now);
  if (state.values.get(gate) !== null) return { ok: false, why: "paused" };
  const recalled = recall === undefined ? null : state.values.get(recall);
  if (recalled !== null) return { ok: false, why: "recall", value: recalled };
  for (const counter of counters) {
    const wait = waitFor(state.windows, counter, now);
    if (wait > 0) return { ok: false, why: "rate", key: counter.key, retryAfterMs: wait };
  }
  for (const { key, max } of hold?.slots ?? []) {
    if ((state.slots.get(key) ?? 0) >= max) return { ok: false, why: "slots", key };
  }
  const refused = hold?.accounts.find((account) => !fits(state, account, hold.micros));
  if (refused !== undefined) return { ok: false, why: "budget", key: refused.key };
  if (hold !== undefined && !hasRoom(state)) return { ok: false, why: "full" };
  const allowances = counters.map((counter) => take(state, counter, now));
  if (hold !== undefined) open(state, hold, now);
  return { ok: true, allowances };
}

function open(state: State, hold: Hold, now: number): void {
  for (const account of hold.accounts) purseOf(state, account).reserved += hold.micros;
  for (const { key } of hold.slots) state.slots.set(key, (state.slots.get(key) ?? 0) + 1);
  state.held.set(hold.id, {
    hold,
    micros: hold.micros,
    expires: now + hold.leaseMs,
    since: now,
    job: undefined,
    note: undefined,
    placed: true,
    charged: undefined,
  });
}

/** Spent + reserved never passes a limit. */
function fits(state: State, { key, limit }: Account, micros: Micros): boolean {
  const purse = state.purses.get(key);
  return limit === undefined || (purse?.spent ?? 0) + (purse?.reserved ?? 0) + micros <= limit;
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
  if (!hasRoom(state)) state.windows.delete(state.windows.keys().next().value ?? "");
  state.windows.set(key, window);
}

function purseOf(state: State, { key, until }: Account): Purse {
  let purse = state.purses.get(key);
  if (purse === undefined) {
    purse = { spent: 0, reserved: 0, until };
    state.purses.set(key, purse);
  }
  return purse;
}

/**
 * Makes room by dropping the oldest of what may go, some at a time: finding the first entry of a Map whose first entries were deleted
 * takes long. False when only money, places and claims remain.
 */
function hasRoom(state: State): boolean {
  const some = Math.ceil(state.maxKeys / 100);
  if (isFull(state)) state.notes.dropOldest(some);
  if (isFull(state)) for (const job of firstOf(state.charges.keys(), some)) state.charges.delete(job);
  if (isFull(state)) for (const key of firstOf(state.windows.keys(), some)) state.windows.delete(key);
  if (isFull(state)) for (const id of firstOf(state.released, some)) forget(state, id);
  return !isFull(state);
}

function isFull(state: State): boolean {
  return keysOf(state) >= state.maxKeys;
}

function keysOf({ purses, held, values, windows, charges, notes }: State): number {
  return purses.size + held.size + values.size() + windows.size + charges.size + notes.size();
}

interface Bound {
  readonly job: string;
  readonly note: string;
  readonly leaseMs: number;
  readonly lists: readonly JobList[];
}

function bind(state: State, id: string, { job, note, leaseMs, lists }: Bound): void {
  state.notes.add(job, note, leaseMs);
  state.lists.add(job, lists);
  const held = state.held.get(id);
  if (held === undefined) return;
  held.job = job;
  held.note = note;
  held.expires = state.now() + leaseMs;
  state.jobs.set(job, id);
}

function end(state: State, job: string, seconds: number | undefined): Settled | null {
  const id = state.jobs.get(job);
  const held = id === undefined ? undefined : state.held.get(id);
  if (id === undefined || held === undefined) return null;
  if (held.hold.perSecond !== undefined && seconds !== undefined) return charge(state, id, { seconds });
  free(state, held);
  if (isFree(held)) state.released.add(id);
  return null;
}

/** Such a hold never comes to anything, so it may go as soon as its place is free. */
function isFree({ micros, hold: { perUnit, perSecond } }: Held): boolean {
  return micros === 0 && !perUnit && !perSecond;
}

function settle(state: State, name: HoldName, outcome: Outcome): Settled | null {
  sweep(state, state.now());
  const id = "job" in name ? state.jobs.get(name.job) : name.hold;
  return id === undefined ? null : charge(state, id, outcome);
}

function charge(state: State, id: string, outcome: Outcome): Settled | null {
  const held = state.held.get(id);
  if (held === undefined) return null;
  free(state, held);
  const micros = costOf({ ...held.hold, micros: held.micros }, outcome);
  if (held.charged !== undefined && (held.charged !== 0 || micros === 0)) return null;
  for (const { key } of held.hold.accounts) {
    const purse = state.purses.get(key);
    if (purse === undefined) continue;
    if (held.charged === undefined) purse.reserved -= held.micros;
    purse.spent += micros;
  }
  held.charged = micros;
  if (held.job !== undefined)
    state.charges.set(held.job, { micros, accounts: held.hold.accounts.map(({ key }) => key) });
  if (micros > 0 || held.job === undefined) forget(state, id);
  else state.released.add(id);
  return { micros, note: held.note };
}

function forget(state: State, id: string): void {
  const job = state.held.get(id)?.job;
  if (job !== undefined && state.jobs.get(job) === id) state.jobs.delete(job);
  state.held.delete(id);
  state.released.delete(id);
}

function correct(state: State, job: string, micros: Micros): Micros | null {
  const charge = state.charges.get(job);
  if (charge === undefined) return null;
  const change = micros - charge.micros;
  charge.micros = micros;
  for (const key of charge.accounts) {
    const purse = state.purses.get(key);
    if (purse !== undefined) purse.spent += change;
  }
  // What was released and then corrected is not charged again.
  const released = state.jobs.get(job);
  if (released !== undefined && state.released.has(released)) forget(state, released);
  return change;
}

function free(state: State, held: Held): void {
  if (!held.placed) return;
  held.placed = false;
  for (const { key } of held.hold.slots) {
    const left = (state.slots.get(key) ?? 1) - 1;
    if (left <= 0) state.slots.delete(key);
    else state.slots.set(key, left);
  }
}

function extend(state: State, id: string, leaseMs: number, micros: Micros): boolean {
  const held = state.held.get(id);
  if (held === undefined || held.charged !== undefined) return false;
  if (!held.hold.accounts.every((account) => fits(state, account, micros))) return false;
  for (const account of held.hold.accounts) purseOf(state, account).reserved += micros;
  held.micros += micros;
  held.expires = state.now() + leaseMs;
  return true;
}

function balance(state: State, account: string): Balance {
  sweep(state, state.now());
  const purse = state.purses.get(account);
  return { spent: purse?.spent ?? 0, reserved: purse?.reserved ?? 0 };
}

function openJobs(state: State, account: string, most: number): OpenJob[] {
  const found: OpenJob[] = [];
  for (const { hold, job, note, since, charged } of state.held.values()) {
    if (found.length >= most) break;
    if (job === undefined || note === undefined || charged !== undefined) continue;
    if (hold.accounts.some(({ key }) => key === account)) found.push({ job, note, since });
  }
  return found;
}

/** Charges what expired and forgets what is over; looks at everything at most once a second. */
function sweep(state: State, now: number): void {
  if (Math.abs(now - state.swept) < sweepEvery) return;
  state.swept = now;
  for (const [id, held] of state.held) {
    if (held.expires > now) continue;
    if (held.charged === undefined) charge(state, id, {});
    forget(state, id);
  }
  for (const [key, purse] of state.purses) if (purse.until <= now && purse.reserved === 0) state.purses.delete(key);
  state.values.sweep();
  state.notes.sweep();
  state.lists.sweep();
}
