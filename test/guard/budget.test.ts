import { type Outcome, type Store, costOf, createMemoryStore } from "@keyway/core";
import fc from "fast-check";
import { expect, it } from "vitest";

/** What may happen to one call after it was admitted. */
const fate = fc.oneof(
  fc.record({ how: fc.constant("finish" as const), units: fc.integer({ min: 0, max: 4 }) }),
  fc.record({ how: fc.constantFrom("fail" as const, "cancel" as const, "leave" as const, "crash" as const) }),
);

type Step =
  | { readonly do: "submit"; readonly caller: number; readonly reserve: number; readonly job: boolean }
  | {
      readonly do: "settle";
      readonly call: number;
      readonly fate: { how: string; units?: number };
      readonly twice: boolean;
    }
  | { readonly do: "pass"; readonly ms: number }
  | { readonly do: "extend"; readonly call: number; readonly micros: number };

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("submit" as const),
        caller: fc.integer({ min: 0, max: 2 }),
        reserve: fc.integer({ min: 1, max: 4 }),
        job: fc.boolean(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("settle" as const), call: fc.nat(), fate, twice: fc.boolean() }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("pass" as const), ms: fc.constantFrom(500, 5_000, 70_000) }) },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("extend" as const),
        call: fc.nat(),
        micros: fc.integer({ min: 0, max: 300 }),
      }),
    },
  ),
  { maxLength: 60 },
);

const perUnit = 100;
const budgets = { caller: 1000, global: 1700 };

interface Held {
  readonly id: string;
  readonly job: string | undefined;
  readonly reserve: number;
  /** What is set aside for it. */
  micros: number;
  /** A settlement was answered. */
  told: boolean;
  /** It was given back: what fal.ai would charge for it later is more than was reserved, which is then nothing. */
  free: boolean;
}

const accountOf = (name: string): string => `money:${name}:2027-01-05`;
const all = accountOf("global");
const accounts = [0, 1, 2].map((caller) => accountOf(`caller-${caller}`));
const until = Date.UTC(2027, 0, 6);

/** A store with as many calls as the steps say, and the sum of what it said it charged. */
function createLedger() {
  const clock = { ms: Date.UTC(2027, 0, 5, 12) };
  const store: Store = createMemoryStore({ now: () => clock.ms });
  const calls: Held[] = [];
  let told = 0;

  async function submit({ caller, reserve, job }: Step & { do: "submit" }): Promise<void> {
    const id = `hold-${calls.length}`;
    const micros = reserve * perUnit;
    const hold = {
      id,
      micros,
      perUnit,
      perSecond: undefined,
      slots: [{ key: "slots", max: 5 }],
      leaseMs: 60_000,
      accounts: [
        { key: accounts[caller] ?? "", limit: budgets.caller, until },
        { key: all, limit: budgets.global, until },
      ],
    };
    const answer = await store.admit({ gate: "gate", recall: undefined, counters: [], hold });
    if (!answer.ok) return;
    const name = job ? `job-${id}` : undefined;
    if (name !== undefined) await store.bind(id, name, "{}", 60_000);
    calls.push({ id, job: name, reserve, micros, told: false, free: false });
  }

  async function settle({ call, fate: { how, units = 0 }, twice }: Step & { do: "settle" }): Promise<void> {
    const held = calls[call % Math.max(1, calls.length)];
    if (held === undefined || how === "crash" || held.free) return;
    const finished: Outcome = { units: Math.min(units, held.reserve) };
    const outcome = how === "finish" ? finished : how === "leave" ? {} : "release";
    const name = held.job === undefined ? { hold: held.id } : { job: held.job };
    for (let time = 0; time < (twice ? 2 : 1); time += 1) {
      const settled = await store.settle(name, outcome);
      if (settled === null) continue;
      held.told = true;
      held.free = settled.micros === 0;
      told += settled.micros;
    }
  }

  async function extend({ call, micros }: Step & { do: "extend" }): Promise<void> {
    const held = calls[call % Math.max(1, calls.length)];
    if (held !== undefined && (await store.extend(held.id, 60_000, micros))) held.micros += micros;
  }

  return {
    async take(step: Step): Promise<void> {
      if (step.do === "submit") await submit(step);
      else if (step.do === "settle") await settle(step);
      else if (step.do === "extend") await extend(step);
      else clock.ms += step.ms;
    },
    async check(): Promise<void> {
      const [whole, ...each] = await store.balances([all, ...accounts]);
      const sums = each.map(({ spent, reserved }) => spent + reserved);
      for (const sum of sums) expect(sum).toBeLessThanOrEqual(budgets.caller);
      expect((whole?.spent ?? 0) + (whole?.reserved ?? 0)).toBeLessThanOrEqual(budgets.global);
      expect(sums.reduce((sum, one) => sum + one, 0)).toBe((whole?.spent ?? 0) + (whole?.reserved ?? 0));
    },
    /** What nobody settled is charged whole when its lease is over: nothing is free, and nothing was charged twice. */
    async close(): Promise<void> {
      clock.ms += 120_000;
      const lost = calls.filter((call) => !call.told).reduce((sum, { micros }) => sum + micros, 0);
      expect(await store.balances([all])).toEqual([{ spent: told + lost, reserved: 0 }]);
    },
  };
}

it("spent + reserved never passes a budget, nothing is free, nothing is charged twice, in whichever order", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (list) => {
      const ledger = createLedger();
      for (const step of list) {
        await ledger.take(step);
        await ledger.check();
      }
      await ledger.close();
    }),
    { numRuns: 1500 },
  );
});

it("a call costs what its outcome says, whole micro-dollars, never less than nothing", () => {
  const hold = fc.record({
    micros: fc.nat(1e9),
    perUnit: fc.option(fc.nat(1e6), { nil: undefined }),
    perSecond: fc.option(fc.nat(1e6), { nil: undefined }),
  });
  const amount = fc.option(fc.double({ min: 0, max: 1e6, noNaN: true }), { nil: undefined });
  const outcome = fc.oneof(fc.constant("release" as const), fc.record({ units: amount, seconds: amount }));
  fc.assert(
    fc.property(hold, outcome, (given, how) => {
      const cost = costOf(given, how);
      expect(Number.isSafeInteger(cost) && cost >= 0).toBe(true);
      if (how === "release") expect(cost).toBe(0);
      else if (how.units === undefined && how.seconds === undefined) expect(cost).toBe(given.micros);
    }),
  );
});
