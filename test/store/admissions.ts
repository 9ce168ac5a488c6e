import type { Admission, Hold } from "@keyway/core";

const hour = 3_600_000;

/** Money of the tests. */
export const account = { key: "account", limit: 1000, until: Date.now() + 24 * hour };

export function holdOf(more: Partial<Hold> = {}): Hold {
  const plain = { micros: 100, perUnit: undefined, perSecond: undefined, leaseMs: hour };
  return { id: crypto.randomUUID(), ...plain, accounts: [account], slots: [{ key: "slot", max: 3 }], ...more };
}

export function admissionOf(more: Partial<Admission> = {}): Admission {
  return { gate: "gate", recall: undefined, counters: [], hold: undefined, ...more };
}
