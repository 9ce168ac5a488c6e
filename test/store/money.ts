import fc from "fast-check";
import { expect, it } from "vitest";
import type { Hold } from "@keyway/core";
import { admissionOf, holdOf } from "./admissions.ts";
import type { Ground } from "./behaviours.ts";

const budget = 1000;
const places = 4;
const hour = 3_600_000;

/** A call as the model follows it. */
interface Call {
  readonly hold: Hold;
  readonly job: string;
  reserved: number;
  placed: boolean;
  bound: boolean;
  state: "open" | "released" | "over";
}

interface Model {
  readonly calls: Call[];
  spent: number;
}

const reservedIn = (model: Model): number =>
  model.calls.reduce((sum, { state, reserved }) => sum + (state === "open" ? reserved : 0), 0);
const placedIn = (model: Model): number => model.calls.filter(({ placed }) => placed).length;

type Command = fc.AsyncCommand<Model, Ground>;

/** The same step is planned in the model and done in the store; then both must hold the same money. */
function command(name: string, run: (model: Model, ground: Ground) => Promise<void>): Command {
  return {
    check: () => true,
    async run(model, ground) {
      await run(model, ground);
      const [balance] = await ground.store.balances(["account"]);
      expect(balance).toEqual({ spent: model.spent, reserved: reservedIn(model) });
      expect(model.spent + reservedIn(model)).toBeLessThanOrEqual(budget);
    },
    toString: () => name,
  };
}

function submit(micros: number): Command {
  return command(`submit(${micros})`, async (model, { store }) => {
    const accounts = [{ key: "account", limit: budget, until: Date.now() + 24 * hour }];
    const hold = holdOf({ micros, perUnit: 1, accounts, slots: [{ key: "slot", max: places }] });
    const answer = await store.admit(admissionOf({ hold }));
    if (placedIn(model) >= places) return expect(answer).toMatchObject({ ok: false, why: "slots" });
    if (model.spent + reservedIn(model) + micros > budget)
      return expect(answer).toMatchObject({ ok: false, why: "budget" });
    expect(answer.ok).toBe(true);
    model.calls.push({ hold, job: `job ${hold.id}`, reserved: micros, placed: true, bound: false, state: "open" });
  });
}

/** A step about one of the calls so far. */
function about(
  name: string,
  which: number,
  run: (call: Call, model: Model, ground: Ground) => Promise<unknown>,
): Command {
  return command(`${name}(${which})`, async (model, ground) => {
    const call = model.calls[which % Math.max(1, model.calls.length)];
    if (call !== undefined) await run(call, model, ground);
  });
}

const bind = (which: number): Command =>
  about("bind", which, async (call, _model, { store }) => {
    await store.bind(call.hold.id, call.job, "note", hour);
    if (call.state === "open") call.bound = true;
  });

/** Nothing is free and nothing is charged twice: what is charged is what the model says, and null otherwise. */
const settle = (which: number, share: number, byJob: boolean): Command =>
  about(`settle ${share} ${byJob ? "by job" : ""}`, which, async (call, model, { store }) => {
    if (byJob && !call.bound) return;
    const actual = Math.floor(share * call.reserved);
    const name = byJob ? { job: call.job } : { hold: call.hold.id };
    const settled = await store.settle(name, share === 0 ? "release" : { units: actual });
    const charges = call.state === "open" || (call.state === "released" && actual > 0);
    expect(settled?.micros).toBe(charges ? actual : undefined);
    if (!charges) return;
    model.spent += actual;
    call.placed = false;
    call.state = actual === 0 && call.bound ? "released" : "over";
    expect(reservedIn(model)).toBeGreaterThanOrEqual(0);
  });

const end = (which: number): Command =>
  about("end", which, async (call, _model, { store }) => {
    expect(await store.end(call.job, 3)).toBeNull();
    if (call.bound) call.placed = false;
  });

const extend = (which: number, micros: number): Command =>
  about(`extend ${micros}`, which, async (call, model, { store }) => {
    const may = call.state === "open" && model.spent + reservedIn(model) + micros <= budget;
    expect(await store.extend(call.hold.id, hour, micros)).toBe(may);
    if (may) call.reserved += micros;
  });

/** Its process is gone, and its lease runs out. */
const crash = (which: number): Command =>
  about("crash", which, async (call, model, { store, elapse }) => {
    expect(await store.extend(call.hold.id, 1, 0)).toBe(call.state === "open");
    if (call.state !== "open") return;
    await elapse(3);
    model.spent += call.reserved;
    Object.assign(call, { placed: false, state: "over" });
  });

const which = fc.nat({ max: 30 });
const share = fc.constantFrom(0, 0.001, 0.5, 1);

/** Q: money and places under any order of submit, bind, finish, fail, release, late charge, extend, end, crash and expiry. */
export function describeMoney(ground: () => Ground): void {
  it("spent + reserved stays within the budget, nothing is free, nothing is charged twice, places come back", async () => {
    let round = 0;
    const steps = fc.commands(
      [
        fc.integer({ min: 1, max: 400 }).map(submit),
        which.map(bind),
        fc.tuple(which, share, fc.boolean()).map(([call, part, byJob]) => settle(call, part, byJob)),
        which.map(end),
        fc.tuple(which, fc.nat({ max: 200 })).map(([call, micros]) => extend(call, micros)),
        which.map(crash),
      ],
      { maxCommands: 40 },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (commands) => {
        round += 1;
        const real = inRound(ground(), round);
        const model: Model = { calls: [], spent: 0 };
        await fc.asyncModelRun(() => ({ model, real }), commands);
        for (const { hold, state } of model.calls) if (state === "open") await real.store.settle({ hold: hold.id }, {});
        const [balance] = await real.store.balances(["account"]);
        expect(balance).toEqual({ spent: model.spent + reservedIn(model), reserved: 0 });
        for (let place = 0; place < places; place += 1) {
          const free = holdOf({ micros: 0, accounts: [], slots: [{ key: "slot", max: places }] });
          expect((await real.store.admit(admissionOf({ hold: free }))).ok).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
}

/** Accounts and slots of their own for each run. */
function inRound({ store, elapse, close }: Ground, round: number): Ground {
  const named = <T extends { readonly key: string }>(list: readonly T[]): T[] =>
    list.map((one) => ({ ...one, key: `${one.key} ${round}` }));
  return {
    elapse,
    close,
    store: {
      ...store,
      admit: (admission) => {
        const { hold } = admission;
        if (hold === undefined) return store.admit(admission);
        const own = { ...hold, accounts: named(hold.accounts), slots: named(hold.slots) };
        return store.admit({ ...admission, hold: own });
      },
      balances: (accounts) => store.balances(accounts.map((key) => `${key} ${round}`)),
    },
  };
}
