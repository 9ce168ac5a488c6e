import type { Micros } from "./rules/price.ts";
import type { Soon } from "./soon.ts";

/** A rate: at most `max` in any window of this length (sliding, weighted by the last window). */
export interface Counter {
  readonly key: string;
  readonly max: number;
  readonly windowMs: number;
}

/** What is left of a rate. */
export interface Allowance {
  readonly remaining: number;
  readonly resetMs: number;
}

/** Places that a hold occupies until it is over: jobs at once, open streams. */
export interface Slot {
  readonly key: string;
  readonly max: number;
}

/** One budget that a hold draws on. */
export interface Account {
  readonly key: string;
  /** Undefined: only counted, not limited. */
  readonly limit: Micros | undefined;
  /** Unix time in milliseconds when the period ends. */
  readonly until: number;
}

/** What one call holds while it runs: places, and money set aside. */
export interface Hold {
  readonly id: string;
  readonly micros: Micros;
  /** Cost of one of fal's billable units (of a stream or socket also: of one begun minute, which comes as a unit), or of one second of inference; undefined for a fixed price. */
  readonly perUnit: Micros | undefined;
  readonly perSecond: Micros | undefined;
  readonly accounts: readonly Account[];
  readonly slots: readonly Slot[];
  /** How long it may stay open, in milliseconds; then its places are free and its money is charged whole. */
  readonly leaseMs: number;
}

/** Everything one call asks of the limits, decided at once: all of it is taken, or none. */
export interface Admission {
  /** Nothing is admitted while a value stands under this key. */
  readonly gate: string;
  /** If a value stands under this key it is answered, and nothing is taken. */
  readonly recall: string | undefined;
  readonly counters: readonly Counter[];
  readonly hold: Hold | undefined;
}

export type Admitted =
  | { readonly ok: true; readonly allowances: readonly Allowance[] }
  | { readonly ok: false; readonly why: "rate"; readonly key: string; readonly retryAfterMs: number }
  | { readonly ok: false; readonly why: "slots" | "budget"; readonly key: string }
  | { readonly ok: false; readonly why: "paused" | "full" }
  | { readonly ok: false; readonly why: "recall"; readonly value: string };

/** How a paid call came out: fal's billable units, seconds of inference, neither (charged whole), or nothing to pay. */
export type Outcome = { readonly units?: number | undefined; readonly seconds?: number | undefined } | "release";

/** A hold by its own id, or by the job that it was bound to. */
export type HoldName = { readonly hold: string } | { readonly job: string };

/** What a settlement charged. */
export interface Settled {
  readonly micros: Micros;
  /** What was bound with the job, undefined for a hold without one. */
  readonly note: string | undefined;
}

/** A job whose money is still set aside. */
export interface OpenJob {
  readonly job: string;
  readonly note: string;
  /** Unix time in milliseconds. */
  readonly since: number;
}

/** A list that jobs can be found on: the oldest leave it beyond `most`. */
export interface JobList {
  readonly key: string;
  readonly most: number;
}

/** Which jobs of a list are wanted. */
export interface ListRead {
  /** Unix time in milliseconds. */
  readonly since: number;
  readonly most: number;
  readonly first: "newest" | "oldest";
}

/** A job on a list, with its note; `since` is when it was put there. */
export type ListedJob = OpenJob;

/** Money of one account, in micro-USD. */
export interface Balance {
  readonly spent: Micros;
  readonly reserved: Micros;
}

/**
 * What several processes must agree on. Every method is atomic and one round trip, everything expires, and keys carry no user data.
 * A store that cannot answer rejects; spending calls are then refused. What every submit asks may be answered without a promise.
 */
export interface Store {
  admit(admission: Admission): Soon<Admitted>;
  /**
   * Lets a hold be found by its job, keeps a note with it unless it has one, and gives it a new lease. The job stands on these lists as
   * long as its note is known. Without such a hold the job is noted all the same.
   */
  bind(hold: string, job: string, note: string, leaseMs: number, lists?: readonly JobList[]): Soon<void>;
  /** Writes a job's note anew, known or not, and takes the job off these lists. */
  mark(job: string, note: string, leaseMs: number, lists: readonly string[]): Promise<void>;
  /** Jobs of a list. */
  listed(list: string, read: ListRead): Promise<readonly ListedJob[]>;
  /** A job came to its end: its places are free. Its money waits for {@link settle}, unless it is priced by the second and these are known. */
  end(job: string, seconds: number | undefined): Promise<Settled | null>;
  /**
   * Charges what a call cost in place of what was set aside, and frees its places. Once: a second settlement changes nothing, unless
   * the first one released it. Null when nothing was open.
   */
  settle(name: HoldName, outcome: Outcome): Promise<Settled | null>;
  /** Renews the lease of a call that is still open, and sets more money aside for it. False when it is gone, or the budget is spent and more is wanted. */
  extend(hold: string, leaseMs: number, micros: Micros): Promise<boolean>;
  /** Puts right what a settled job was charged. The change, or null when the charge is no longer known. */
  correct(job: string, micros: Micros): Promise<Micros | null>;
  balances(accounts: readonly string[]): Promise<readonly Balance[]>;
  /** The oldest open jobs that draw on an account. */
  openJobs(account: string, most: number): Promise<readonly OpenJob[]>;
  /** Takes a name for a while; false when it is taken. */
  claim(key: string, leaseMs: number): Promise<boolean>;
  /** Writes a value, in place of a claim too. One that `mayGo` makes room where a store is bounded. */
  put(key: string, value: string, leaseMs: number, mayGo?: boolean): Promise<void>;
  get(key: string): Promise<string | null>;
  remove(key: string): Promise<void>;
  close(): Promise<void>;
}
