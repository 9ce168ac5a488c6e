import { Round } from "./round.ts";

/** Values that are forgotten after a while. */
export interface Expiring {
  get(key: string): string | null;
  set(key: string, value: string, leaseMs: number): void;
  /** Sets it unless there is one. */
  add(key: string, value: string, leaseMs: number): void;
  delete(key: string): void;
  size(): number;
  /** Forgets what was set first. */
  dropOldest(count: number): void;
  /** Lets go of some of what is forgotten. */
  sweep(): void;
}

export function createExpiring(now: () => number): Expiring {
  const entries = new Map<string, { value: string; until: number }>();
  const some = new Round(entries);
  return {
    add(key, value, leaseMs) {
      const time = now();
      const entry = entries.get(key);
      if (entry !== undefined && entry.until > time) return;
      if (entry !== undefined) entries.delete(key);
      entries.set(key, { value, until: time + leaseMs });
    },
    get(key) {
      const entry = entries.get(key);
      return entry === undefined || entry.until <= now() ? null : entry.value;
    },
    set(key, value, leaseMs) {
      entries.delete(key);
      entries.set(key, { value, until: now() + leaseMs });
    },
    delete: (key) => void entries.delete(key),
    size: () => entries.size,
    dropOldest(count) {
      for (const key of firstOf(entries.keys(), count)) entries.delete(key);
    },
    sweep() {
      const time = now();
      for (const [key, { until }] of some.next()) if (until <= time) entries.delete(key);
    },
  };
}

/** The first ones; what is given may change meanwhile. */
export function* firstOf<T>(all: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const one of all) {
    if (left <= 0) return;
    left -= 1;
    yield one;
  }
}
