import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "./memory-store.ts";
import type { Admission, Counter, Outcome, Reservation, Store } from "./store.ts";

const day = 86_400_000;

interface Clock {
  time: number;
}

function setUp(maxKeys?: number): { store: Store; clock: Clock } {
  const clock = { time: 10 * day };
  const now = (): number => clock.time;
  return { store: createMemoryStore(maxKeys === undefined ? { now } : { now, maxKeys }), clock };
}

function counting(...counters: Partial<Counter>[]): Admission {
  return { counters: counters.map((one) => ({ key: "k", max: 2, windowMs: 60_000, ...one })), reservation: undefined };
}

function reserving(change: Partial<Reservation> = {}, limit: number | "none" = 100): Admission {
  const accounts = [{ key: "purse", limit: limit === "none" ? undefined : limit, until: 11 * day }];
  const reservation = { id: "r", micros: 40, perUnit: undefined, accounts, leaseMs: 60_000, ...change };
  return { counters: [], reservation };
}

describe("counters", () => {
  it("let so many through per window, and say when the next one starts", async () => {
    const { store, clock } = setUp();
    expect(await store.admit(counting({}))).toEqual({ ok: true });
    clock.time += 1000;
    expect(await store.admit(counting({}))).toEqual({ ok: true });
    expect(await store.admit(counting({}))).toEqual({ ok: false, why: "rate", key: "k", retryAfterMs: 59_000 });
    clock.time += 59_000;
    expect(await store.admit(counting({}))).toEqual({ ok: true });
  });
  it("a limit of 0 lets nobody through", async () => {
    const { store } = setUp();
    expect(await store.admit(counting({ max: 0 }))).toEqual({ ok: false, why: "rate", key: "k", retryAfterMs: 60_000 });
  });
  it("are all taken, or none", async () => {
    const { store } = setUp();
    await store.admit(counting({ key: "full", max: 1 }));
    for (let index = 0; index < 3; index += 1) {
      expect(await store.admit(counting({ key: "free", max: 1 }, { key: "full", max: 1 }))).toMatchObject({
        key: "full",
      });
    }
    expect(await store.admit(counting({ key: "free", max: 1 }))).toEqual({ ok: true });
  });
  it("are not taken by a call that money refuses", async () => {
    const { store } = setUp();
    const admission = { ...counting({ max: 1 }), reservation: reserving({ micros: 101 }).reservation };
    expect(await store.admit(admission)).toMatchObject({ ok: false, why: "budget" });
    expect(await store.admit(counting({ max: 1 }))).toEqual({ ok: true });
  });
  it("exactly as many of a hundred at once", async () => {
    const { store } = setUp();
    const answers = await Promise.all(Array.from({ length: 100 }, () => store.admit(counting({ max: 10 }))));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(10);
  });
  it("a clock that is set back locks nobody out for longer than a window", async () => {
    const { store, clock } = setUp();
    await store.admit(counting({ max: 1 }));
    clock.time -= 3_600_000;
    expect(await store.admit(counting({ max: 1 }))).toEqual({ ok: true });
    expect(await store.admit(counting({ max: 1 }))).toMatchObject({ ok: false });
  });
  it.each(["__proto__", "constructor", "a:b", "\u0000"])("count %j like any other", async (key) => {
    const { store } = setUp();
    await store.admit(counting({ key, max: 1 }));
    expect(await store.admit(counting({ key, max: 1 }))).toMatchObject({ ok: false });
  });
});

describe("money", () => {
  it("is set aside, then charged", async () => {
    const { store } = setUp();
    await store.admit(reserving());
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: 40 });
    expect(await store.settle({ reservation: "r" }, { units: 1 })).toBe(40);
    expect(await store.balance("purse")).toEqual({ spent: 40, reserved: 0 });
  });
  it("is given back", async () => {
    const { store } = setUp();
    await store.admit(reserving());
    expect(await store.settle({ reservation: "r" }, "release")).toBe(0);
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: 0 });
  });
  it("is charged when nobody settles in time", async () => {
    const { store, clock } = setUp();
    await store.admit(reserving());
    clock.time += 59_000;
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: 40 });
    clock.time += 1000;
    expect(await store.balance("purse")).toEqual({ spent: 40, reserved: 0 });
    expect(await store.settle({ reservation: "r" }, { units: 1 })).toBeNull();
  });
  it("is not charged twice", async () => {
    const { store } = setUp();
    await store.admit(reserving());
    await store.bind("r", "job");
    expect(await store.settle({ job: "job" }, "whole")).toBe(40);
    for (const by of [{ job: "job" }, { reservation: "r" }]) expect(await store.settle(by, "whole")).toBeNull();
    expect(await store.balance("purse")).toEqual({ spent: 40, reserved: 0 });
  });
  it("of a released job is charged when its result comes after all", async () => {
    const { store, clock } = setUp();
    await store.admit(reserving());
    await store.bind("r", "job");
    expect(await store.settle({ job: "job" }, "release")).toBe(0);
    expect(await store.settle({ job: "job" }, "release")).toBeNull();
    expect(await store.settle({ job: "job" }, { units: 1 })).toBe(40);
    clock.time += 60_000;
    expect(await store.balance("purse")).toEqual({ spent: 40, reserved: 0 });
  });
  it("of a released job is not charged when it expires", async () => {
    const { store, clock } = setUp();
    await store.admit(reserving());
    await store.bind("r", "job");
    await store.settle({ job: "job" }, "release");
    clock.time += 120_000;
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: 0 });
    expect(await store.settle({ job: "job" }, "whole")).toBeNull();
  });
  it("may cost more than was set aside: then nothing new is admitted", async () => {
    const { store } = setUp();
    await store.admit(reserving({ perUnit: 40 }));
    expect(await store.settle({ reservation: "r" }, { units: 5 })).toBe(200);
    expect(await store.admit(reserving({ id: "s", micros: 0 }))).toMatchObject({ ok: false, why: "budget" });
  });
  it("is refused beyond the budget, with the time until the period ends", async () => {
    const { store } = setUp();
    await store.admit(reserving({ id: "a" }));
    await store.admit(reserving({ id: "b" }));
    expect(await store.admit(reserving({ id: "c" }))).toEqual({
      ok: false,
      why: "budget",
      key: "purse",
      retryAfterMs: day,
    });
    expect(await store.admit(reserving({ id: "d", micros: 20 }))).toEqual({ ok: true });
  });
  it("without a budget is only counted", async () => {
    const { store } = setUp();
    expect(await store.admit(reserving({ micros: 1e12 }, "none"))).toEqual({ ok: true });
  });
  it("of another period is another purse, and an old one lives until its calls are over", async () => {
    const { store, clock } = setUp();
    await store.admit(reserving({ leaseMs: 2 * day }));
    clock.time += day;
    const accounts = [{ key: "purse of the next day", limit: 100, until: 12 * day }];
    expect(await store.admit(reserving({ id: "next", micros: 100, accounts }))).toEqual({ ok: true });
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: 40 });
    expect(await store.settle({ reservation: "r" }, "whole")).toBe(40);
    clock.time += 1000;
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: 0 });
  });
  it("of what nobody knows is nothing", async () => {
    const { store } = setUp();
    await store.bind("nobody", "job");
    expect(await store.settle({ job: "job" }, "whole")).toBeNull();
    expect(await store.settle({ reservation: "__proto__" }, "whole")).toBeNull();
    expect(await store.balance("__proto__")).toEqual({ spent: 0, reserved: 0 });
  });
});

describe("room", () => {
  it("counters make room for newer ones", async () => {
    const { store } = setUp(10);
    for (let index = 0; index < 1000; index += 1) {
      expect(await store.admit(counting({ key: `k${index}`, max: 1 }))).toEqual({ ok: true });
    }
    expect(await store.admit(counting({ key: "k999", max: 1 }))).toMatchObject({ ok: false, why: "rate" });
  });
  it("money is never dropped: when only open money is left, new calls are refused", async () => {
    const { store } = setUp(10);
    const answers = [];
    for (let index = 0; index < 20; index += 1) {
      answers.push(await store.admit(reserving({ id: `r${index}`, micros: 1 }, "none")));
    }
    const admitted = answers.filter(({ ok }) => ok).length;
    expect(answers.at(-1)).toEqual({ ok: false, why: "full" });
    expect(await store.balance("purse")).toEqual({ spent: 0, reserved: admitted });
  });
  it("calls that are over take none", async () => {
    const { store } = setUp(10);
    for (let index = 0; index < 1000; index += 1) {
      expect(await store.admit(reserving({ id: `r${index}`, micros: 1 }, "none"))).toEqual({ ok: true });
      if (index % 3 === 0) await store.bind(`r${index}`, `job${index}`);
      await store.settle({ reservation: `r${index}` }, index % 3 === 1 ? "release" : "whole");
    }
    expect((await store.balance("purse")).reserved).toBe(0);
  });
});

/** What the store promises, without its indexes. */
interface Model {
  readonly limit: number;
  spent: number;
  /** Charged to jobs that had been released: the one way beyond the limit. */
  late: number;
  readonly open: Map<string, { micros: number; expires: number; charged: number | undefined }>;
}

type Step =
  | { readonly type: "reserve"; readonly micros: number; readonly leaseMs: number }
  | { readonly type: "settle"; readonly which: number; readonly outcome: Outcome }
  | { readonly type: "wait"; readonly ms: number };

const steps = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant("reserve" as const),
      micros: fc.integer({ min: 1, max: 50 }),
      leaseMs: fc.integer({ min: 1000, max: 9000 }),
    }),
    fc.record({
      type: fc.constant("settle" as const),
      which: fc.nat(20),
      outcome: fc.constantFrom<Outcome>("whole", "release", { units: 0 }, { units: 1 }),
    }),
    fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 1000, max: 5000 }) }),
  ),
  { maxLength: 60 },
);

describe("whatever happens in whatever order", () => {
  it("spent and reserved stay within the limit, and nothing is charged twice", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(200), steps, async (limit, given) => {
        const { store, clock } = setUp();
        const model: Model = { limit, spent: 0, late: 0, open: new Map() };
        const ids: string[] = [];
        for (const step of given) await take(step, store, clock, model, ids);
      }),
      { numRuns: 400 },
    );
  });
});

async function take(step: Step, store: Store, clock: Clock, model: Model, ids: string[]): Promise<void> {
  if (step.type === "wait") clock.time += step.ms;
  expire(model, clock.time);
  if (step.type === "reserve") {
    const id = `r${ids.length}`;
    const used = model.spent + reservedOf(model);
    const answer = await store.admit(reserving({ id, micros: step.micros, leaseMs: step.leaseMs }, model.limit));
    expect(answer.ok).toBe(used + step.micros <= model.limit);
    if (!answer.ok) return;
    ids.push(id);
    if (ids.length % 2 === 0) await store.bind(id, `job ${id}`);
    model.open.set(id, { micros: step.micros, expires: clock.time + step.leaseMs, charged: undefined });
  }
  if (step.type === "settle" && ids.length > 0) {
    const id = ids[step.which % ids.length] ?? "";
    const one = model.open.get(id);
    const cost = step.outcome === "whole" || (typeof step.outcome === "object" && step.outcome.units > 0);
    const charged = await store.settle({ reservation: id }, step.outcome);
    const isBound = Number(id.slice(1)) % 2 === 1;
    if (one === undefined || (one.charged !== undefined && (!cost || !isBound || one.charged > 0))) {
      expect(charged).toBeNull();
    } else {
      expect(charged).toBe(cost ? one.micros : one.charged === undefined ? 0 : null);
      model.spent += charged ?? 0;
      if (one.charged === 0) model.late += charged ?? 0;
      one.charged = charged ?? 0;
    }
  }
  const balance = await store.balance("purse");
  expect(balance).toEqual({ spent: model.spent, reserved: reservedOf(model) });
  expect(balance.spent + balance.reserved).toBeLessThanOrEqual(model.limit + model.late);
}

function expire(model: Model, now: number): void {
  for (const [id, one] of model.open) {
    if (one.expires > now) continue;
    if (one.charged === undefined) model.spent += one.micros;
    model.open.delete(id);
  }
}

function reservedOf(model: Model): number {
  let sum = 0;
  for (const { micros, charged } of model.open.values()) if (charged === undefined) sum += micros;
  return sum;
}
