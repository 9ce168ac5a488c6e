import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createMemoryStore } from "./memory-store.ts";
import type { Admission, Counter, Hold, Outcome, Store } from "./store.ts";

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
  return {
    gate: "gate",
    recall: undefined,
    counters: counters.map((one) => ({ key: "k", max: 2, windowMs: 60_000, ...one })),
    hold: undefined,
  };
}

function holding(change: Partial<Hold> = {}, limit: number | "none" = 100): Admission & { hold: Hold } {
  const accounts = [{ key: "purse", limit: limit === "none" ? undefined : limit, until: 11 * day }];
  const plain = { id: "r", micros: 40, perUnit: undefined, perSecond: undefined, leaseMs: 60_000, slots: [] };
  return { ...counting(), hold: { ...plain, accounts, ...change } };
}

async function balanceOf(store: Store, account = "purse"): Promise<unknown> {
  return (await store.balances([account]))[0];
}

describe("counters", () => {
  it("let so many through per window, and say to the millisecond when one more fits", async () => {
    const { store, clock } = setUp();
    expect(await store.admit(counting({}))).toEqual({ ok: true, allowances: [{ remaining: 1, resetMs: 60_000 }] });
    clock.time += 1000;
    expect(await store.admit(counting({}))).toEqual({ ok: true, allowances: [{ remaining: 0, resetMs: 59_000 }] });
    expect(await store.admit(counting({}))).toEqual({ ok: false, why: "rate", key: "k", retryAfterMs: 89_000 });
    clock.time += 88_999;
    expect(await store.admit(counting({}))).toEqual({ ok: false, why: "rate", key: "k", retryAfterMs: 1 });
    clock.time += 1;
    expect(await store.admit(counting({}))).toMatchObject({ ok: true });
    expect(await store.admit(counting({}))).toMatchObject({ ok: false });
  });
  it("do not start anew at the border of a window, and are all there again after two", async () => {
    const { store, clock } = setUp();
    clock.time += 59_999;
    for (let index = 0; index < 2; index += 1) expect(await store.admit(counting({}))).toMatchObject({ ok: true });
    clock.time += 1;
    expect(await store.admit(counting({}))).toMatchObject({ ok: false });
    clock.time += 120_000;
    for (let index = 0; index < 2; index += 1) expect(await store.admit(counting({}))).toMatchObject({ ok: true });
    expect(await store.admit(counting({}))).toMatchObject({ ok: false });
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
    expect(await store.admit(counting({ key: "free", max: 1 }))).toMatchObject({ ok: true });
  });
  it("are not taken by a call that money, places, the gate or a recall refuse", async () => {
    const { store } = setUp();
    const { counters } = counting({ max: 1 });
    const none = [{ key: "slot", max: 0 }];
    await store.put("kept", "answer", 60_000);
    expect(await store.admit({ ...holding({ micros: 101 }), counters })).toMatchObject({ ok: false, why: "budget" });
    expect(await store.admit({ ...holding({ slots: none }), counters })).toMatchObject({ ok: false, why: "slots" });
    expect(await store.admit({ ...counting(), counters, recall: "kept" })).toMatchObject({ ok: false, why: "recall" });
    await store.put("gate", "paused", 60_000);
    expect(await store.admit({ ...counting(), counters })).toEqual({ ok: false, why: "paused" });
    await store.remove("gate");
    expect(await store.admit({ ...counting(), counters })).toMatchObject({ ok: true });
  });
  it("exactly as many of a hundred at once", async () => {
    const { store } = setUp();
    const answers = await Promise.all(Array.from({ length: 100 }, async () => store.admit(counting({ max: 10 }))));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(10);
  });
  it("a clock that is set back locks nobody out for longer than a window", async () => {
    const { store, clock } = setUp();
    await store.admit(counting({ max: 1 }));
    clock.time -= 3_600_000;
    expect(await store.admit(counting({ max: 1 }))).toMatchObject({ ok: true });
    expect(await store.admit(counting({ max: 1 }))).toMatchObject({ ok: false });
  });
  it("a clock that is set ahead gives one window more at most", async () => {
    const { store, clock } = setUp();
    await store.admit(counting({ max: 1 }));
    clock.time += day;
    expect(await store.admit(counting({ max: 1 }))).toMatchObject({ ok: true });
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
    await store.admit(holding());
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 40 });
    expect(await store.settle({ hold: "r" }, { units: 1 })).toEqual({ micros: 40, note: undefined });
    expect(await balanceOf(store)).toEqual({ spent: 40, reserved: 0 });
  });
  it("is given back", async () => {
    const { store } = setUp();
    await store.admit(holding());
    expect(await store.settle({ hold: "r" }, "release")).toEqual({ micros: 0, note: undefined });
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 0 });
  });
  it("is charged when nobody settles in time, and its place is free", async () => {
    const { store, clock } = setUp();
    const slots = [{ key: "slot", max: 1 }];
    await store.admit(holding({ slots }));
    clock.time += 59_000;
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 40 });
    expect(await store.admit(holding({ id: "s", slots }))).toEqual({ ok: false, why: "slots", key: "slot" });
    clock.time += 1000;
    expect(await balanceOf(store)).toEqual({ spent: 40, reserved: 0 });
    expect(await store.settle({ hold: "r" }, { units: 1 })).toBeNull();
    expect(await store.admit(holding({ id: "s", slots }))).toMatchObject({ ok: true });
  });
  it("is charged whole, with what was set aside since", async () => {
    const { store, clock } = setUp();
    await store.admit(holding());
    clock.time += 50_000;
    expect(await store.extend("r", 60_000, 30)).toBe(true);
    expect(await store.extend("r", 60_000, 31)).toBe(false);
    clock.time += 59_000;
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 70 });
    clock.time += 1000;
    expect(await balanceOf(store)).toEqual({ spent: 70, reserved: 0 });
    expect(await store.extend("r", 60_000, 0)).toBe(false);
  });
  it("is not charged twice", async () => {
    const { store } = setUp();
    await store.admit(holding());
    await store.bind("r", "job", "note", 60_000);
    expect(await store.settle({ job: "job" }, {})).toEqual({ micros: 40, note: "note" });
    for (const name of [{ job: "job" }, { hold: "r" }]) expect(await store.settle(name, {})).toBeNull();
    expect(await balanceOf(store)).toEqual({ spent: 40, reserved: 0 });
  });
  it("of a released job is charged when its result comes after all", async () => {
    const { store, clock } = setUp();
    await store.admit(holding());
    await store.bind("r", "job", "note", 60_000);
    expect(await store.settle({ job: "job" }, "release")).toEqual({ micros: 0, note: "note" });
    expect(await store.settle({ job: "job" }, "release")).toBeNull();
    expect(await store.settle({ job: "job" }, { units: 1 })).toEqual({ micros: 40, note: "note" });
    clock.time += 60_000;
    expect(await balanceOf(store)).toEqual({ spent: 40, reserved: 0 });
  });
  it("of a released job is not charged when it expires", async () => {
    const { store, clock } = setUp();
    await store.admit(holding());
    await store.bind("r", "job", "note", 60_000);
    await store.settle({ job: "job" }, "release");
    clock.time += 120_000;
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 0 });
    expect(await store.settle({ job: "job" }, {})).toBeNull();
  });
  it("of a job waits as long as it was bound for, and then is charged", async () => {
    const { store, clock } = setUp();
    await store.admit(holding());
    await store.bind("r", "job", "note", 600_000);
    clock.time += 599_000;
    expect(await store.openJobs("purse", 9)).toEqual([{ job: "job", note: "note", since: 10 * day }]);
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 40 });
    clock.time += 1000;
    expect(await balanceOf(store)).toEqual({ spent: 40, reserved: 0 });
    expect(await store.openJobs("purse", 9)).toEqual([]);
  });
  it("may cost more than was set aside: then nothing new is admitted", async () => {
    const { store } = setUp();
    await store.admit(holding({ perUnit: 40 }));
    expect(await store.settle({ hold: "r" }, { units: 5 })).toMatchObject({ micros: 200 });
    expect(await store.admit(holding({ id: "s", micros: 0 }))).toMatchObject({ ok: false, why: "budget" });
  });
  it("is refused beyond the budget, by the name of the account", async () => {
    const { store } = setUp();
    await store.admit(holding({ id: "a" }));
    await store.admit(holding({ id: "b" }));
    expect(await store.admit(holding({ id: "c" }))).toEqual({ ok: false, why: "budget", key: "purse" });
    expect(await store.admit(holding({ id: "d", micros: 20 }))).toEqual({ ok: true, allowances: [] });
  });
  it("without a budget is only counted", async () => {
    const { store } = setUp();
    expect(await store.admit(holding({ micros: 1e12 }, "none"))).toEqual({ ok: true, allowances: [] });
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 1e12 });
  });
  it("of another period is another purse, and an old one lives until its calls are over", async () => {
    const { store, clock } = setUp();
    await store.admit(holding({ leaseMs: 2 * day }));
    clock.time += day;
    const accounts = [{ key: "purse of the next day", limit: 100, until: 12 * day }];
    expect(await store.admit(holding({ id: "next", micros: 100, accounts }))).toMatchObject({ ok: true });
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 40 });
    expect(await store.settle({ hold: "r" }, {})).toMatchObject({ micros: 40 });
    clock.time += 1000;
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: 0 });
  });
  it("of what nobody knows is nothing", async () => {
    const { store } = setUp();
    await store.bind("nobody", "job", "note", 60_000);
    expect(await store.settle({ job: "job" }, {})).toBeNull();
    expect(await store.end("job", 5)).toBeNull();
    expect(await store.correct("job", 5)).toBeNull();
    expect(await store.settle({ hold: "__proto__" }, {})).toBeNull();
    expect(await store.extend("__proto__", 1, 1)).toBe(false);
    expect(await balanceOf(store, "__proto__")).toEqual({ spent: 0, reserved: 0 });
  });
});

describe("room", () => {
  it("counters make room for newer ones", async () => {
    const { store } = setUp(10);
    for (let index = 0; index < 1000; index += 1) {
      expect(await store.admit(counting({ key: `k${index}`, max: 1 }))).toMatchObject({ ok: true });
    }
    expect(await store.admit(counting({ key: "k999", max: 1 }))).toMatchObject({ ok: false, why: "rate" });
    expect(await store.admit(counting({ key: "k0", max: 1 }))).toMatchObject({ ok: true });
  });
  it("a counter that is used stays before those that are not", async () => {
    const { store } = setUp(10);
    for (let index = 0; index < 100; index += 1) {
      await store.admit(counting({ key: `k${index}`, max: 1 }));
      if (index % 5 !== 0) continue;
      expect(await store.admit(counting({ key: "used", max: 100 }))).toEqual({
        ok: true,
        allowances: [{ remaining: 99 - index / 5, resetMs: 60_000 }],
      });
    }
  });
  it("money is never dropped: when only open money is left, new calls are refused", async () => {
    const { store } = setUp(10);
    const answers = [];
    for (let index = 0; index < 20; index += 1) {
      answers.push(await store.admit(holding({ id: `r${index}`, micros: 1 }, "none")));
    }
    const admitted = answers.filter(({ ok }) => ok).length;
    expect(admitted).toBe(8);
    expect(answers.at(-1)).toEqual({ ok: false, why: "full" });
    expect(await balanceOf(store)).toEqual({ spent: 0, reserved: admitted });
    await store.settle({ hold: "r0" }, {});
    expect(await store.admit(holding({ id: "late", micros: 1 }, "none"))).toMatchObject({ ok: true });
  });
  it("values that may go make room: finished deliveries do not fill the store", async () => {
    const { store } = setUp(10);
    for (let count = 0; count < 30; count += 1) {
      await store.claim(`delivery ${count}`, 60_000);
      await store.put(`delivery ${count}`, "OK", 60_000, true);
    }
    expect([await store.claim("delivery 29", 1), await store.get("delivery 29")]).toEqual([false, "OK"]);
    expect(await store.admit(holding())).toMatchObject({ ok: true });
  });

  it("places and claims are never dropped, and a full store takes nothing of what it refuses", async () => {
    const { store } = setUp(4);
    const slots = [{ key: "slot", max: 3 }];
    expect(await store.claim("claimed", 60_000)).toBe(true);
    for (const id of ["a", "b", "c"])
      expect(await store.admit(holding({ id, accounts: [], slots }))).toMatchObject({ ok: true });
    const refused = holding({ id: "d", accounts: [], slots: [{ key: "other", max: 1 }] });
    const { counters } = counting({ max: 1 });
    expect(await store.admit({ ...refused, counters })).toEqual({ ok: false, why: "full" });
    expect(await store.claim("claimed", 60_000)).toBe(false);
    expect(await store.admit(holding({ id: "e", accounts: [], slots }))).toMatchObject({ why: "slots" });
    expect(await store.admit({ ...counting(), counters })).toMatchObject({ ok: true });
    await store.settle({ hold: "a" }, {});
    expect(await store.admit(refused)).toMatchObject({ ok: true });
  });
  it("claims that are over make room within seconds, though not all are looked at at once", async () => {
    const { store, clock } = setUp(3000);
    for (let index = 0; index < 3000; index += 1) await store.claim(`claim ${index}`, 1000);
    expect(await store.admit(holding())).toMatchObject({ ok: false, why: "full" });
    clock.time += 1000;
    expect(await store.admit(holding())).toMatchObject({ ok: true });
    for (let index = 0; index < 1001; index += 1) await store.claim(`again ${index}`, 60_000);
    clock.time += 1000;
    await store.admit(holding({ id: "second" }));
    clock.time += 1000;
    expect(await store.admit(holding({ id: "third" }, "none"))).toMatchObject({ ok: true });
  });
  it("accounts with nothing in them take none", async () => {
    const { store, clock } = setUp(100);
    for (let index = 0; index < 1000; index += 1) {
      const accounts = [{ key: `caller ${index}`, limit: 100, until: 40 * day }];
      const hold = holding({ id: `r${index}`, micros: index % 2, accounts });
      expect(await store.admit(hold)).toMatchObject({ ok: true });
      await store.settle({ hold: hold.hold.id }, "release");
      clock.time += 50;
    }
    await store.admit(
      holding({ id: "dear", micros: 40, perUnit: 1, accounts: [{ key: "late", limit: 100, until: 40 * day }] }),
    );
    await store.bind("dear", "job", "note", day);
    await store.settle({ job: "job" }, "release");
    clock.time += 1000;
    expect(await balanceOf(store, "late")).toEqual({ spent: 0, reserved: 0 });
    await store.settle({ job: "job" }, { units: 3 });
    expect(await balanceOf(store, "late")).toEqual({ spent: 3, reserved: 0 });
    expect(await store.correct("job", 5)).toBe(2);
    expect(await balanceOf(store, "late")).toEqual({ spent: 5, reserved: 0 });
  });
  it("a store full of money still counts: the caps of a call that needs no hold are kept", async () => {
    const { store } = setUp(200);
    for (let index = 0; index < 200; index += 1) await store.admit(holding({ id: `r${index}`, micros: 1 }, "none"));
    expect(await store.admit(holding({ id: "more" }, "none"))).toMatchObject({ ok: false, why: "full" });
    const { counters } = counting({ key: "caller" }, { key: "global" });
    const answers = [];
    for (let index = 0; index < 10; index += 1) answers.push(await store.admit({ ...counting(), counters }));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(2);
  });
  it("calls that are over take none", async () => {
    const { store } = setUp(10);
    for (let index = 0; index < 1000; index += 1) {
      expect(await store.admit(holding({ id: `r${index}`, micros: 1 }, "none"))).toMatchObject({ ok: true });
      if (index % 3 === 0) await store.bind(`r${index}`, `job${index}`, "note", 60_000);
      await store.settle({ hold: `r${index}` }, index % 2 === 1 ? "release" : {});
    }
    expect(await balanceOf(store)).toEqual({ spent: 500, reserved: 0 });
  });
  const rows: [name: string, open: number, left: Left][] = [
    ["nothing while there is room", 1, { notes: ["paid", "free"], charge: true, rate: true, late: true }],
    ["the oldest note", 2, { notes: [null, "free"], charge: true, rate: true, late: true }],
    ["the other note", 3, { notes: [null, null], charge: true, rate: true, late: true }],
    ["the oldest charge", 4, { notes: [null, null], charge: false, rate: true, late: true }],
    ["rates", 6, { notes: [null, null], charge: false, rate: false, late: true }],
    ["what a late charge could have found", 7, { notes: [null, null], charge: false, rate: false, late: false }],
  ];
  it.each(rows)("goes in its order: %s", async (_name, open, left) => {
    const { store } = await filledWith(open);
    expect(await leftIn(store)).toEqual(left);
  });
  it("jobs without a price hold nothing once they are over", async () => {
    const { store } = setUp(10);
    for (let index = 0; index < 50; index += 1) {
      const id = `r${index}`;
      expect(await store.admit(holding({ id, micros: 0, leaseMs: day }, "none"))).toMatchObject({ ok: true });
      await store.bind(id, `job ${index}`, "note", day);
      await store.end(`job ${index}`, undefined);
    }
    expect(await store.settle({ job: "job 49" }, { units: 3 })).toEqual({ micros: 0, note: "note" });
  });
  it("and after all of that the store is full", async () => {
    const { store, answers } = await filledWith(8);
    expect(answers.map(({ ok }) => ok)).toEqual([true, true, true, true, true, true, true, false]);
    expect(answers.at(-1)).toEqual({ ok: false, why: "full" });
    expect(await balanceOf(store)).toEqual({ spent: 40, reserved: 280 });
  });
});

/** What can still be found of a job that was paid, of one that was free, and of a rate. */
interface Left {
  readonly notes: (string | null)[];
  readonly charge: boolean;
  readonly rate: boolean;
  readonly late: boolean;
}

/** A store of 8 keys: a rate, a purse, a paid job (note, charge), a free one (hold, note, charge), and open calls. */
async function filledWith(open: number): Promise<{ store: Store; answers: Awaited<ReturnType<Store["admit"]>>[] }> {
  const { store } = setUp(8);
  await store.admit(counting({ max: 1 }));
  for (const [id, outcome] of [["paid", {}] as const, ["free", "release"] as const]) {
    await store.admit(holding({ id }, "none"));
    await store.bind(id, `job ${id}`, id, 60_000);
    await store.settle({ hold: id }, outcome);
  }
  const answers = [];
  for (let index = 0; index < open; index += 1) answers.push(await store.admit(holding({ id: `o${index}` }, "none")));
  return { store, answers };
}

async function leftIn(store: Store): Promise<Left> {
  const notes = [await store.get("job paid"), await store.get("job free")];
  const charge = (await store.correct("job paid", 40)) === 0;
  const late = (await store.settle({ job: "job free" }, {})) !== null;
  return { notes, charge, late, rate: !(await store.admit(counting({ max: 1 }))).ok };
}

/** What the store promises, without its indexes. */
interface Model {
  readonly limit: number;
  spent: number;
  /** Charged to jobs that had been released: the one way beyond the limit. */
  late: number;
  readonly open: Map<string, { micros: number; expires: number; charged: number | undefined; placed: boolean }>;
}

type Step =
  | { readonly type: "hold"; readonly micros: number; readonly leaseMs: number }
  | { readonly type: "settle"; readonly which: number; readonly outcome: Outcome; readonly byJob: boolean }
  | { readonly type: "extend"; readonly which: number; readonly micros: number; readonly leaseMs: number }
  | { readonly type: "end"; readonly which: number }
  | { readonly type: "wait"; readonly ms: number };

const leaseMs = fc.integer({ min: 1000, max: 9000 });
const steps = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant("hold" as const), micros: fc.integer({ min: 1, max: 50 }), leaseMs }),
    fc.record({
      type: fc.constant("settle" as const),
      which: fc.nat(20),
      outcome: fc.constantFrom<Outcome>({}, "release", { units: 0 }, { units: 1 }),
      byJob: fc.boolean(),
    }),
    fc.record({ type: fc.constant("extend" as const), which: fc.nat(20), micros: fc.nat(50), leaseMs }),
    fc.record({ type: fc.constant("end" as const), which: fc.nat(20) }),
    fc.record({ type: fc.constant("wait" as const), ms: fc.integer({ min: 1000, max: 5000 }) }),
  ),
  { maxLength: 60 },
);

const places = 2;
const slots = [{ key: "slot", max: places }];

describe("whatever happens in whatever order", () => {
  it("spent and reserved stay within the limit, nothing is charged twice, and places come back", async () => {
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
  if (step.type === "hold") await hold(step, store, clock, model, ids);
  else if (step.type !== "wait" && ids.length > 0) {
    const id = ids[step.which % ids.length] ?? "";
    if (step.type === "settle") await settle(step, id, store, model);
    else if (step.type === "extend") await extend(step, id, store, clock, model);
    else await end(id, store, model);
  }
  const [balance = { spent: Number.NaN, reserved: Number.NaN }] = await store.balances(["purse"]);
  expect(balance).toEqual({ spent: model.spent, reserved: reservedOf(model) });
  expect(balance.spent + balance.reserved).toBeLessThanOrEqual(model.limit + model.late);
  const probe = holding({ id: "probe", accounts: [], micros: 0, slots });
  expect((await store.admit(probe)).ok).toBe(placedIn(model) < places);
  await store.settle({ hold: "probe" }, "release");
}

async function hold(
  step: Step & { type: "hold" },
  store: Store,
  clock: Clock,
  model: Model,
  ids: string[],
): Promise<void> {
  const { micros, leaseMs: lease } = step;
  const id = `r${ids.length}`;
  const fits = model.spent + reservedOf(model) + micros <= model.limit;
  const answer = await store.admit(holding({ id, micros, leaseMs: lease, slots }, model.limit));
  expect(answer.ok ? "admitted" : answer.why).toBe(placedIn(model) >= places ? "slots" : fits ? "admitted" : "budget");
  if (!answer.ok) return;
  ids.push(id);
  if (isBound(id)) await store.bind(id, `job ${id}`, "note", lease);
  model.open.set(id, { micros, expires: clock.time + lease, charged: undefined, placed: true });
}

async function settle(step: Step & { type: "settle" }, id: string, store: Store, model: Model): Promise<void> {
  const { outcome, byJob } = step;
  const one = model.open.get(id);
  const costs = outcome !== "release" && outcome.units !== 0;
  const settled = await store.settle(byJob ? { job: `job ${id}` } : { hold: id }, outcome);
  if (byJob && !isBound(id)) return expect(settled).toBeNull();
  if (one === undefined || (one.charged !== undefined && (!costs || !isBound(id) || one.charged > 0)))
    return expect(settled).toBeNull();
  const micros = costs ? one.micros : 0;
  expect(settled).toEqual({ micros, note: isBound(id) ? "note" : undefined });
  model.spent += micros;
  if (one.charged === 0) model.late += micros;
  one.charged = micros;
  one.placed = false;
}

async function extend(
  step: Step & { type: "extend" },
  id: string,
  store: Store,
  clock: Clock,
  model: Model,
): Promise<void> {
  const one = model.open.get(id);
  const fits = model.spent + reservedOf(model) + step.micros <= model.limit;
  const may = one !== undefined && one.charged === undefined && fits;
  expect(await store.extend(id, step.leaseMs, step.micros)).toBe(may);
  if (may) Object.assign(one, { micros: one.micros + step.micros, expires: clock.time + step.leaseMs });
}

async function end(id: string, store: Store, model: Model): Promise<void> {
  expect(await store.end(`job ${id}`, 5)).toBeNull();
  const one = model.open.get(id);
  if (one !== undefined && isBound(id)) one.placed = false;
}

/** Every other call is a job. */
function isBound(id: string): boolean {
  return Number(id.slice(1)) % 2 === 1;
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

function placedIn(model: Model): number {
  return [...model.open.values()].filter(({ placed }) => placed).length;
}
