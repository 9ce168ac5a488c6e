import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Admission, Admitted, Hold, Outcome, Store } from "@keyway/core";
import { account, admissionOf, holdOf } from "./admissions.ts";
import { describeMoney } from "./money.ts";

/** A store under test, and a way to let time pass: at least this many milliseconds. */
export interface Ground {
  readonly store: Store;
  readonly elapse: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

const hour = 3_600_000;
const uncounted = { ...account, key: "uncounted", limit: undefined };
const slot = { key: "slot", max: 3 };

/** What every store must do. */
export function describeStore(name: string, open: () => Promise<Ground>): void {
  describe(name, () => {
    let ground: Ground;
    let store: Store;
    beforeEach(async () => {
      ground = await open();
      ({ store } = ground);
    });
    afterEach(() => ground.close());

    const admit = async (more: Partial<Admission>): Promise<Admitted> => store.admit(admissionOf(more));
    async function opened(more: Partial<Hold> = {}): Promise<Hold> {
      const hold = holdOf(more);
      expect(await admit({ hold })).toEqual({ ok: true, allowances: [] });
      return hold;
    }
    async function boundJob(job: string, more: Partial<Hold> = {}): Promise<Hold> {
      const hold = await opened(more);
      await store.bind(hold.id, job, `note of ${job}`, hour);
      return hold;
    }
    const balance = async (key = "account"): Promise<unknown> => (await store.balances([key]))[0];
    const settle = (hold: Hold, outcome: Outcome): ReturnType<Store["settle"]> =>
      store.settle({ hold: hold.id }, outcome);

    describe("rates", () => {
      const counter = { key: "rate", max: 3, windowMs: hour };

      it("Q01: the call beyond the limit is refused with a wait, and takes nothing", async () => {
        const taken = [];
        for (let call = 0; call < 3; call += 1) taken.push(await admit({ counters: [counter] }));
        expect(taken.map((answer) => answer.ok && answer.allowances[0]?.remaining)).toEqual([2, 1, 0]);
        const refused = await admit({ counters: [counter], hold: holdOf() });
        expect(refused).toMatchObject({ ok: false, why: "rate", key: "rate" });
        if (refused.ok || refused.why !== "rate") throw new Error("not refused");
        expect(Number.isInteger(refused.retryAfterMs)).toBe(true);
        expect(refused.retryAfterMs).toBeGreaterThanOrEqual(1);
        expect(refused.retryAfterMs).toBeLessThanOrEqual(2 * hour);
        expect(await balance()).toEqual({ spent: 0, reserved: 0 });
      });

      it("Q02: of 100 at once at limit 10, 10 are let in", async () => {
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => admit({ counters: [{ ...counter, max: 10 }] })),
        );
        expect(answers.filter(({ ok }) => ok)).toHaveLength(10);
      });

      it("says when the window ends", async () => {
        const answer = await admit({ counters: [counter] });
        const reset = answer.ok ? answer.allowances[0]?.resetMs : undefined;
        expect(reset).toBeGreaterThan(0);
        expect(reset).toBeLessThanOrEqual(hour);
      });

      it("takes from all counters or from none", async () => {
        const wide = { ...counter, key: "wide", max: 10 };
        for (let call = 0; call < 5; call += 1) await admit({ counters: [wide, counter] });
        const answer = await admit({ counters: [wide] });
        expect(answer.ok && answer.allowances[0]?.remaining).toBe(6);
      });

      it("Q10: two windows on, all of it is there again; between them no more than the limit at once", async () => {
        const short = { key: "short", max: 2, windowMs: 500 };
        for (let call = 0; call < 5; call += 1) await admit({ counters: [short] });
        expect(await admit({ counters: [short] })).toMatchObject({ ok: false, why: "rate" });
        await ground.elapse(1000);
        const answers = await Promise.all([1, 2, 3].map(() => admit({ counters: [short] })));
        expect(answers.filter(({ ok }) => ok)).toHaveLength(2);
      });

      it("Q09: counts names of prototypes like any other", async () => {
        for (const key of ["__proto__", "constructor", "toString"]) {
          const one = { ...counter, key, max: 1 };
          expect((await admit({ counters: [one] })).ok).toBe(true);
          expect((await admit({ counters: [one] })).ok).toBe(false);
          expect(await store.balances([key])).toEqual([{ spent: 0, reserved: 0 }]);
          expect(await store.get(key)).toBeNull();
        }
      });

      it("a limit of 0 lets nothing in", async () => {
        expect(await admit({ counters: [{ ...counter, max: 0 }] })).toMatchObject({ ok: false, why: "rate" });
      });
    });

    describe("gate and recall", () => {
      it("admits nothing while something stands at the gate", async () => {
        await store.put("gate", "paused", hour);
        expect(await admit({ hold: holdOf() })).toEqual({ ok: false, why: "paused" });
        await store.remove("gate");
        expect((await admit({ hold: holdOf() })).ok).toBe(true);
      });

      it("answers what stands under the key to recall, and takes nothing", async () => {
        const kept = JSON.stringify({ text: "ä\u0000\r\n" });
        await store.put("recalled", kept, hour);
        const counters = [{ key: "rate", max: 1, windowMs: hour }];
        const answer = await admit({ recall: "recalled", counters, hold: holdOf() });
        expect(answer).toEqual({ ok: false, why: "recall", value: kept });
        expect(await balance()).toEqual({ spent: 0, reserved: 0 });
        expect((await admit({ recall: "nothing", counters, hold: holdOf() })).ok).toBe(true);
      });

      it("recalls even what would be refused, and the gate comes first", async () => {
        await store.put("recalled", "kept", hour);
        const hold = holdOf({ micros: 5000 });
        expect(await admit({ recall: "recalled", hold })).toMatchObject({ why: "recall" });
        await store.put("gate", "paused", hour);
        expect(await admit({ recall: "recalled", hold })).toMatchObject({ why: "paused" });
      });
    });

    describe("places", () => {
      it("Q13: are taken up to the limit, and free when a hold is settled", async () => {
        const holds = [await opened(), await opened(), await opened()];
        expect(await admit({ hold: holdOf() })).toEqual({ ok: false, why: "slots", key: "slot" });
        const outcomes: Outcome[] = [{}, "release", { units: 1 }];
        for (const [at, outcome] of outcomes.entries()) {
          const hold = holds[at];
          if (hold !== undefined) await settle(hold, outcome);
          await opened();
        }
      });

      it("Q15: are free when the lease of a lost hold ends", async () => {
        for (let call = 0; call < 3; call += 1) await opened({ leaseMs: 300 });
        expect((await admit({ hold: holdOf() })).ok).toBe(false);
        await ground.elapse(320);
        for (let call = 0; call < 3; call += 1) await opened();
        expect(await balance()).toEqual({ spent: 300, reserved: 300 });
      });

      it("Q15: are free at once however many leases ended", async () => {
        const crowd = { slots: [{ key: "crowd", max: 120 }], micros: 1, leaseMs: 500 };
        const single = { slots: [{ key: "single", max: 2 }] };
        await Promise.all(Array.from({ length: 120 }, () => opened(crowd)));
        await opened({ ...single, leaseMs: 530 });
        await opened(single);
        expect((await admit({ hold: holdOf(single) })).ok).toBe(false);
        await ground.elapse(550);
        await opened(single);
      });

      it("of several kinds are taken together or not at all", async () => {
        const narrow = { key: "narrow", max: 1 };
        await opened({ slots: [slot, narrow] });
        expect(await admit({ hold: holdOf({ slots: [slot, narrow] }) })).toMatchObject({ key: "narrow" });
        await opened();
        await opened();
        expect((await admit({ hold: holdOf() })).ok).toBe(false);
      });

      it("are free at a job's end, while its money waits", async () => {
        await boundJob("job");
        await opened();
        await opened();
        expect(await store.end("job", 5)).toBeNull();
        await opened();
        expect(await balance()).toEqual({ spent: 0, reserved: 400 });
        expect(await store.settle({ job: "job" }, { units: 1 })).toEqual({ micros: 100, note: "note of job" });
        expect((await admit({ hold: holdOf() })).ok).toBe(false);
      });

      it("are kept while the lease is renewed", async () => {
        const hold = await opened({ leaseMs: 400, slots: [{ ...slot, max: 1 }] });
        expect(await store.extend(hold.id, hour, 0)).toBe(true);
        await ground.elapse(450);
        expect((await admit({ hold: holdOf({ slots: [{ ...slot, max: 1 }] }) })).ok).toBe(false);
      });

      it("Q14: 10,000 calls that open and leave bring every count to 0", async () => {
        const rounds = 100;
        for (let round = 0; round < rounds; round += 1) {
          const holds = Array.from({ length: 100 }, () => holdOf({ slots: [{ key: "wide", max: 100 }], micros: 1 }));
          const answers = await Promise.all(holds.map((hold) => admit({ hold })));
          expect(answers.every(({ ok }) => ok)).toBe(true);
          await Promise.all(holds.map((hold) => settle(hold, "release")));
        }
        expect(await balance()).toEqual({ spent: 0, reserved: 0 });
        const whole = holdOf({ slots: [{ key: "wide", max: 1 }] });
        expect((await admit({ hold: whole })).ok).toBe(true);
      });
    });

    describe("money", () => {
      it("is set aside up to the budget, exactly", async () => {
        await opened({ micros: 999, slots: [] });
        expect(await admit({ hold: holdOf({ micros: 2, slots: [] }) })).toEqual({
          ok: false,
          why: "budget",
          key: "account",
        });
        await opened({ micros: 1, slots: [] });
        expect(await balance()).toEqual({ spent: 0, reserved: 1000 });
      });

      it("is counted on every account, limited or not", async () => {
        const hold = await opened({ accounts: [account, uncounted], micros: 700 });
        expect(await store.balances(["account", "uncounted", "unknown"])).toEqual([
          { spent: 0, reserved: 700 },
          { spent: 0, reserved: 700 },
          { spent: 0, reserved: 0 },
        ]);
        await settle(hold, {});
        expect(await balance("uncounted")).toEqual({ spent: 700, reserved: 0 });
        await opened({ accounts: [uncounted], micros: 5000 });
      });

      it("stays exact for large amounts", async () => {
        const large = 4_503_599_627_370_497;
        const rich = { ...account, key: "rich", limit: Number.MAX_SAFE_INTEGER };
        const hold = await opened({ accounts: [rich], micros: large });
        expect(await balance("rich")).toEqual({ spent: 0, reserved: large });
        expect(await settle(hold, {})).toEqual({ micros: large, note: undefined });
        expect(await balance("rich")).toEqual({ spent: large, reserved: 0 });
      });

      const prices: readonly (readonly [what: string, price: Partial<Hold>, outcome: Outcome, micros: number])[] = [
        ["nothing known", {}, {}, 100],
        ["units of a fixed price", {}, { units: 7 }, 100],
        ["no units", { perUnit: 10 }, { units: 0 }, 0],
        ["no units of a fixed price", {}, { units: 0 }, 0],
        ["units", { perUnit: 10 }, { units: 7 }, 70],
        ["parts of units, rounded up", { perUnit: 7 }, { units: 0.1 }, 1],
        ["what doubles add", { perUnit: 100 }, { units: 1.1 }, 110],
        ["seconds", { perSecond: 3 }, { seconds: 2.5 }, 8],
        ["seconds before a price by unit", { perUnit: 10 }, { seconds: 2.5 }, 100],
        ["more than was set aside", { perUnit: 10 }, { units: 50 }, 500],
        ["more than can be counted", { perUnit: 10 }, { units: 1e300 }, Number.MAX_SAFE_INTEGER],
        ["a release", { perUnit: 10 }, "release", 0],
      ];
      it.each(prices)("is charged by %s", async (_what, price, outcome, micros) => {
        const hold = await opened(price);
        expect(await settle(hold, outcome)).toEqual({ micros, note: undefined });
        expect(await balance()).toEqual({ spent: micros, reserved: 0 });
      });

      it("is charged once", async () => {
        const hold = await boundJob("job", { perUnit: 10 });
        const settlements = await Promise.all([
          store.settle({ job: "job" }, { units: 2 }),
          store.settle({ job: "job" }, { units: 2 }),
          settle(hold, { units: 2 }),
          store.end("job", 4),
        ]);
        expect(settlements.filter((one) => one !== null)).toEqual([{ micros: 20, note: "note of job" }]);
        expect(await balance()).toEqual({ spent: 20, reserved: 0 });
      });

      it("is charged after a release, once", async () => {
        await boundJob("job", { perUnit: 10 });
        expect(await store.settle({ job: "job" }, "release")).toEqual({ micros: 0, note: "note of job" });
        expect(await store.settle({ job: "job" }, "release")).toBeNull();
        expect(await balance()).toEqual({ spent: 0, reserved: 0 });
        expect(await store.settle({ job: "job" }, { units: 3 })).toEqual({ micros: 30, note: "note of job" });
        expect(await store.settle({ job: "job" }, { units: 3 })).toBeNull();
        expect(await balance()).toEqual({ spent: 30, reserved: 0 });
      });

      it("of a call without a job that was released stays released", async () => {
        const hold = await opened();
        expect(await settle(hold, "release")).toMatchObject({ micros: 0 });
        expect(await settle(hold, {})).toBeNull();
        expect(await balance()).toEqual({ spent: 0, reserved: 0 });
      });

      it("by the second is charged at a job's end", async () => {
        await boundJob("job", { perSecond: 3 });
        expect(await store.end("job", undefined)).toBeNull();
        expect(await store.end("job", 2)).toEqual({ micros: 6, note: "note of job" });
        expect(await store.settle({ job: "job" }, {})).toBeNull();
        expect(await balance()).toEqual({ spent: 6, reserved: 0 });
      });

      it("of a lost hold is charged whole when its lease ends", async () => {
        const hold = await opened({ leaseMs: 60, perUnit: 1 });
        await ground.elapse(80);
        expect(await balance()).toEqual({ spent: 100, reserved: 0 });
        expect(await settle(hold, { units: 1 })).toBeNull();
        expect(await store.extend(hold.id, hour, 0)).toBe(false);
      });

      it("of a bound job waits for the lease that it was bound with", async () => {
        const hold = await opened({ leaseMs: 300 });
        await store.bind(hold.id, "job", "note", hour);
        await ground.elapse(350);
        expect(await balance()).toEqual({ spent: 0, reserved: 100 });
        const other = await opened();
        await store.bind(other.id, "other", "note", 60);
        await ground.elapse(80);
        expect(await balance()).toEqual({ spent: 100, reserved: 100 });
        expect(await store.settle({ job: "other" }, {})).toBeNull();
        expect(await store.openJobs("account", 9)).toMatchObject([{ job: "job" }]);
      });

      it("of many lost holds is charged, all of them", async () => {
        const wide = { leaseMs: 200, slots: [], micros: 1 };
        await Promise.all(Array.from({ length: 180 }, () => opened(wide)));
        await ground.elapse(250);
        for (let call = 0; call < 4; call += 1) await balance();
        expect(await balance()).toEqual({ spent: 180, reserved: 0 });
      });

      it("is set aside anew while a call is open, until the budget is spent", async () => {
        const hold = await opened({ micros: 400 });
        expect(await store.extend(hold.id, hour, 400)).toBe(true);
        expect(await store.extend(hold.id, hour, 400)).toBe(false);
        expect(await balance()).toEqual({ spent: 0, reserved: 800 });
        expect(await settle(hold, {})).toEqual({ micros: 800, note: undefined });
        expect(await store.extend(hold.id, hour, 0)).toBe(false);
        expect(await store.extend("unknown", hour, 0)).toBe(false);
      });

      it("keeps its lease on an account that is overdrawn, where no more is wanted", async () => {
        const dear = await opened({ micros: 100, perUnit: 100 });
        const other = await opened({ micros: 100 });
        await settle(dear, { units: 20 });
        expect(await balance()).toEqual({ spent: 2000, reserved: 100 });
        expect(await store.extend(other.id, hour, 0)).toBe(true);
        expect(await store.extend(other.id, hour, 1)).toBe(false);
      });

      it("that nobody holds cannot be settled", async () => {
        expect(await store.settle({ hold: "unknown" }, {})).toBeNull();
        expect(await store.settle({ job: "unknown" }, {})).toBeNull();
        expect(await store.end("unknown", 1)).toBeNull();
      });
    });

    describe("corrections", () => {
      it("answer the change, and know nothing of what was not charged", async () => {
        await boundJob("job", { perUnit: 10 });
        expect(await store.correct("job", 5)).toBeNull();
        await store.settle({ job: "job" }, { units: 3 });
        expect(await store.correct("job", 45)).toBe(15);
        expect(await store.correct("job", 45)).toBe(0);
        expect(await store.correct("job", 20)).toBe(-25);
        expect(await balance()).toEqual({ spent: 20, reserved: 0 });
        expect(await store.correct("unknown", 20)).toBeNull();
      });

      it("of what was released are not charged again", async () => {
        await boundJob("job", { perUnit: 10 });
        await store.settle({ job: "job" }, "release");
        expect(await store.correct("job", 30)).toBe(30);
        expect(await store.settle({ job: "job" }, { units: 3 })).toBeNull();
        expect(await balance()).toEqual({ spent: 30, reserved: 0 });
      });
    });

    describe("jobs", () => {
      it("that are open are listed by account, oldest first", async () => {
        for (const job of ["one", "two", "three"]) {
          await boundJob(job, { slots: [], accounts: job === "two" ? [uncounted] : [account, uncounted] });
          await ground.elapse(2);
        }
        await opened({ slots: [] });
        expect((await store.openJobs("account", 10)).map(({ job }) => job)).toEqual(["one", "three"]);
        const [first, ...others] = await store.openJobs("uncounted", 2);
        expect(first).toEqual({ job: "one", note: "note of one", since: expect.any(Number) });
        expect(others.map(({ job }) => job)).toEqual(["two"]);
        await store.end("one", undefined);
        expect((await store.openJobs("account", 1))[0]?.job).toBe("one");
        await store.settle({ job: "one" }, {});
        await store.settle({ job: "three" }, "release");
        expect(await store.openJobs("account", 10)).toEqual([]);
        expect(await store.openJobs("unknown", 10)).toEqual([]);
      });

      it("without a price are listed too, at no cost", async () => {
        await boundJob("free", { micros: 0 });
        expect(await store.openJobs("account", 1)).toMatchObject([{ job: "free" }]);
        expect(await store.settle({ job: "free" }, { units: 4 })).toEqual({ micros: 0, note: "note of free" });
        expect(await store.settle({ job: "free" }, { units: 4 })).toBeNull();
        expect(await store.openJobs("account", 1)).toEqual([]);
        expect(await store.correct("free", 12)).toBe(12);
      });

      it("keep their note after they are settled, and without a hold", async () => {
        await boundJob("job");
        await store.settle({ job: "job" }, {});
        expect(await store.get("job")).toBe("note of job");
        await store.bind("unknown", "other", "another note", hour);
        expect(await store.get("other")).toBe("another note");
        expect(await store.settle({ job: "other" }, {})).toBeNull();
      });

      it("of one name do not take each other's place", async () => {
        const first = await boundJob("job");
        const second = await boundJob("job", { micros: 50 });
        await settle(first, {});
        expect(await store.settle({ job: "job" }, {})).toMatchObject({ micros: 50 });
        expect(await settle(second, {})).toBeNull();
        expect(await balance()).toEqual({ spent: 150, reserved: 0 });
      });
    });

    describe("lists of jobs", () => {
      const [mine, all] = [
        { key: "mine", most: 3 },
        { key: "all", most: 9 },
      ];
      const names = async (list: string, first: "newest" | "oldest", most = 9, since = 0): Promise<string[]> =>
        (await store.listed(list, { since, most, first })).map(({ job }) => job);

      it("hold a job's note and time, newest or oldest first, up to their length", async () => {
        for (const job of ["one", "two", "three", "four"]) {
          await store.bind("no hold", job, `note of ${job}`, hour, job === "two" ? [all] : [mine, all]);
          await ground.elapse(2);
        }
        expect(await names("all", "oldest")).toEqual(["one", "two", "three", "four"]);
        expect(await names("mine", "newest")).toEqual(["four", "three", "one"]);
        await store.bind("no hold", "five", "note of five", hour, [mine]);
        expect(await names("mine", "newest")).toEqual(["five", "four", "three"]);
        expect(await names("mine", "newest", 2)).toEqual(["five", "four"]);
        const [three, four] = await store
          .listed("all", { since: 0, most: 9, first: "oldest" })
          .then((jobs) => jobs.slice(2));
        expect(three).toMatchObject({ job: "three", note: "note of three" });
        expect(await names("all", "oldest", 9, four?.since)).toEqual(["four"]);
        expect(await names("none", "oldest")).toEqual([]);
      });

      it("let a marked job go, with its new note kept", async () => {
        await store.bind("no hold", "job", "a note", hour, [mine, all]);
        await store.mark("job", "another note", hour, ["all"]);
        expect(await names("all", "oldest")).toEqual([]);
        expect(await store.listed("mine", { since: 0, most: 1, first: "newest" })).toMatchObject([
          { note: "another note" },
        ]);
        await store.mark("early", "told before it was bound", hour, ["all"]);
        await store.bind("no hold", "early", "a note", hour, [mine]);
        expect(await store.get("early")).toBe("told before it was bound");
      });

      it("forget a job when its note is over", async () => {
        await store.bind("no hold", "job", "a note", 300, [mine]);
        await ground.elapse(320);
        expect(await names("mine", "newest")).toEqual([]);
      });
    });

    describe("values", () => {
      it("are kept for their lease", async () => {
        await store.put("value", "one", 300);
        await store.put("other", "x".repeat(200_000), hour);
        expect(await store.get("value")).toBe("one");
        await ground.elapse(320);
        expect(await store.get("value")).toBeNull();
        expect((await store.get("other"))?.length).toBe(200_000);
        await store.put("other", "", hour);
        expect(await store.get("other")).toBe("");
        await store.remove("other");
        await store.remove("other");
        expect(await store.get("other")).toBeNull();
      });

      it("can be claimed by one", async () => {
        const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim("name", 300)));
        expect(claims.filter(Boolean)).toHaveLength(1);
        await ground.elapse(320);
        expect(await store.claim("name", hour)).toBe(true);
        await store.remove("name");
        expect(await store.claim("name", hour)).toBe(true);
      });
    });

    describeMoney(() => ground);
  });
}
