import { firstOf } from "./expiring.ts";
import { Leases } from "./leases.ts";
import { Round } from "./round.ts";
import { costOf } from "./rules/outcome.ts";
import type { Micros } from "./rules/price.ts";
import type { Account, Balance, Hold, HoldName, OpenJob, Outcome, Settled } from "./store.ts";

interface Purse {
  spent: Micros;
  reserved: Micros;
  until: number;
}

interface Held {
  readonly hold: Hold;
  /** What is set aside now; grows with `extend`. */
  micros: Micros;
  leaseMs: number;
  since: number;
  job: string | undefined;
  note: string | undefined;
  placed: boolean;
  /** What was charged, once settled. */
  charged: Micros | undefined;
}

/** Money and places in memory: what calls hold as long as they go on, and what they were charged in the end. */
export class Holds {
  readonly #now: () => number;
  readonly #held = new Map<string, Held>();
  readonly #leases = new Leases();
  readonly #jobs = new Map<string, string>();
  readonly #slots = new Map<string, number>();
  readonly #purses = new Map<string, Purse>();
  readonly #someOfPurses = new Round(this.#purses);
  /** Holds that cost nothing so far; a late charge may still find them, so they go last but may go. */
  readonly #released = new Set<string>();
  /** What settled jobs were charged, for corrections; the oldest go when room is needed. */
  readonly #charges = new Map<string, { micros: Micros; readonly accounts: readonly Account[] }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#purses.size + this.#held.size + this.#charges.size;
  }

  /** What a hold wants and cannot have. */
  missing({ slots, accounts, micros }: Hold): { readonly why: "slots" | "budget"; readonly key: string } | undefined {
    const place = slots.find(({ key, max }) => (this.#slots.get(key) ?? 0) >= max);
    if (place !== undefined) return { why: "slots", key: place.key };
    const account = accounts.find((one) => !this.#fits(one, micros));
    return account === undefined ? undefined : { why: "budget", key: account.key };
  }

  open(hold: Hold): void {
    const now = this.#now();
    for (const account of hold.accounts) this.#purseOf(account).reserved += hold.micros;
    for (const { key } of hold.slots) this.#slots.set(key, (this.#slots.get(key) ?? 0) + 1);
    this.#leases.begin(hold.id, hold.leaseMs, now);
    this.#held.set(hold.id, {
      hold,
      micros: hold.micros,
      leaseMs: hold.leaseMs,
      since: now,
      job: undefined,
      note: undefined,
      placed: true,
      charged: undefined,
    });
  }

  /** Sees to it that a hold is found by its job, and gives it a new lease. */
  bind(id: string, job: string, note: string, leaseMs: number): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    held.job = job;
    held.note = note;
    this.#renew(id, held, leaseMs);
    this.#jobs.set(job, id);
  }

  end(job: string, seconds: number | undefined): Settled | null {
    const id = this.#jobs.get(job);
    const held = id === undefined ? undefined : this.#held.get(id);
    if (id === undefined || held === undefined) return null;
    if (held.hold.perSecond !== undefined && seconds !== undefined) return this.#charge(id, { seconds });
    this.#free(held);
    if (isFree(held)) this.#released.add(id);
    return null;
  }

  settle(name: HoldName, outcome: Outcome): Settled | null {
    const id = "job" in name ? this.#jobs.get(name.job) : name.hold;
    return id === undefined ? null : this.#charge(id, outcome);
  }

  extend(id: string, leaseMs: number, micros: Micros): boolean {
    const held = this.#held.get(id);
    if (held === undefined || held.charged !== undefined) return false;
    if (micros > 0 && !held.hold.accounts.every((account) => this.#fits(account, micros))) return false;
    for (const account of held.hold.accounts) this.#purseOf(account).reserved += micros;
    held.micros += micros;
    this.#renew(id, held, leaseMs);
    return true;
  }

  correct(job: string, micros: Micros): Micros | null {
    const charge = this.#charges.get(job);
    if (charge === undefined) return null;
    const change = micros - charge.micros;
    charge.micros = micros;
    for (const account of charge.accounts) this.#purseOf(account).spent += change;
    // What was released and then corrected is not charged again.
    const released = this.#jobs.get(job);
    if (released !== undefined && this.#released.has(released)) this.#forget(released);
    return change;
  }

  balance(account: string): Balance {
    const purse = this.#purses.get(account);
    return { spent: purse?.spent ?? 0, reserved: purse?.reserved ?? 0 };
  }

  openJobs(account: string, most: number): OpenJob[] {
    const found: OpenJob[] = [];
    for (const { hold, job, note, since, charged } of this.#held.values()) {
      if (found.length >= most) break;
      if (job === undefined || note === undefined || charged !== undefined) continue;
      if (hold.accounts.some(({ key }) => key === account)) found.push({ job, note, since });
    }
    return found;
  }

  /** Charges whose lease is over, and forgets accounts of past periods and those with nothing in them. */
  sweep(): void {
    const now = this.#now();
    for (const id of this.#leases.over(now)) {
      if (this.#held.get(id)?.charged === undefined) this.#charge(id, {});
      this.#forget(id);
    }
    for (const [key, purse] of this.#someOfPurses.next())
      if (purse.reserved === 0 && (purse.spent === 0 || purse.until <= now)) this.#purses.delete(key);
  }

  dropCharges(some: number): void {
    for (const job of firstOf(this.#charges.keys(), some)) this.#charges.delete(job);
  }

  dropReleased(some: number): void {
    for (const id of firstOf(this.#released, some)) this.#forget(id);
  }

  /** Spent + reserved never passes a limit. */
  #fits({ key, limit }: Account, micros: Micros): boolean {
    const purse = this.#purses.get(key);
    return limit === undefined || (purse?.spent ?? 0) + (purse?.reserved ?? 0) + micros <= limit;
  }

  #purseOf({ key, until }: Account): Purse {
    let purse = this.#purses.get(key);
    if (purse === undefined) {
      purse = { spent: 0, reserved: 0, until };
      this.#purses.set(key, purse);
    }
    return purse;
  }

  #renew(id: string, held: Held, leaseMs: number): void {
    this.#leases.end(id, held.leaseMs);
    held.leaseMs = leaseMs;
    this.#leases.begin(id, leaseMs, this.#now());
  }

  #charge(id: string, outcome: Outcome): Settled | null {
    const held = this.#held.get(id);
    if (held === undefined) return null;
    this.#free(held);
    const micros = costOf({ ...held.hold, micros: held.micros }, outcome);
    if (held.charged !== undefined && (held.charged !== 0 || micros === 0)) return null;
    for (const account of held.hold.accounts) {
      const purse = this.#purseOf(account);
      if (held.charged === undefined) purse.reserved -= held.micros;
      purse.spent += micros;
    }
    held.charged = micros;
    if (held.job !== undefined) this.#charges.set(held.job, { micros, accounts: held.hold.accounts });
    if (micros > 0 || held.job === undefined) this.#forget(id);
    else this.#released.add(id);
    return { micros, note: held.note };
  }

  #forget(id: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    if (held.job !== undefined && this.#jobs.get(held.job) === id) this.#jobs.delete(held.job);
    this.#leases.end(id, held.leaseMs);
    this.#held.delete(id);
    this.#released.delete(id);
  }

  #free(held: Held): void {
    if (!held.placed) return;
    held.placed = false;
    for (const { key } of held.hold.slots) {
      const left = (this.#slots.get(key) ?? 1) - 1;
      if (left <= 0) this.#slots.delete(key);
      else this.#slots.set(key, left);
    }
  }
}

/** Such a hold never comes to anything, so it may go as soon as its place is free. */
function isFree({ micros, hold: { perUnit, perSecond } }: Held): boolean {
  return micros === 0 && !perUnit && !perSecond;
}
