import { type Micros, unitsCost } from "./rules/price.ts";

/** A counter: at most `max` per window. */
export interface Counter {
  readonly key: string;
  readonly max: number;
  readonly windowMs: number;
}

/** One budget that a reservation draws on. */
export interface Account {
  readonly key: string;
  /** Undefined: only counted, not limited. */
  readonly limit: Micros | undefined;
  /** Unix time in milliseconds when the period ends. */
  readonly until: number;
}

/** Money set aside for one call. */
export interface Reservation {
  readonly id: string;
  readonly micros: Micros;
  /** Cost of one of fal's billable units; undefined for a price per call. */
  readonly perUnit: Micros | undefined;
  readonly accounts: readonly Account[];
  /** How long it may stay open, in milliseconds; then it is charged whole. */
  readonly leaseMs: number;
}

/** Everything one call asks of the limits, decided at once: all of it is taken, or none. */
export interface Admission {
  readonly counters: readonly Counter[];
  readonly reservation: Reservation | undefined;
}

export type Admitted =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: "rate" | "budget"; readonly key: string; readonly retryAfterMs: number }
  | { readonly ok: false; readonly why: "full" };

/** How a paid call came out: its billable units, unknown units (charged whole), or nothing to pay. */
export type Outcome = { readonly units: number } | "whole" | "release";

/** What an outcome costs. */
export function costOf(reservation: Pick<Reservation, "micros" | "perUnit">, outcome: Outcome): Micros {
  if (outcome === "release") return 0;
  if (outcome === "whole") return reservation.micros;
  if (reservation.perUnit !== undefined) return unitsCost(reservation.perUnit, outcome.units);
  return outcome.units === 0 ? 0 : reservation.micros;
}

/** Money of one account, in micro-USD. */
export interface Balance {
  readonly spent: Micros;
  readonly reserved: Micros;
}

/**
 * What several processes must agree on. Every method is atomic, everything expires, and keys carry no user data.
 * A store that cannot answer rejects; spending calls are then refused.
 */
export interface Store {
  admit(admission: Admission): Promise<Admitted>;
  /** Lets the reservation be found by the job it pays for. */
  bind(reservation: string, job: string): Promise<void>;
  /**
   * Charges what a call cost in place of what was reserved, once: a second settlement changes nothing, unless the first one
   * released it. Answers what was charged, or null when nothing was open.
   */
  settle(by: { readonly reservation: string } | { readonly job: string }, outcome: Outcome): Promise<Micros | null>;
  balance(account: string): Promise<Balance>;
  close(): Promise<void>;
}
