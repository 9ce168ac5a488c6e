import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { type Admitted, createMemoryStore } from "@keyway/core";
import { admissionOf, holdOf } from "./admissions.ts";
import { describeStore } from "./behaviours.ts";

/** The memory store looks for what expired once a second, so a second more passes. */
const sweep = 1000;

describeStore("memory store", async () => {
  let time = Date.now();
  const store = createMemoryStore({ now: () => time });
  return {
    store,
    elapse: async (ms) => {
      time += ms + sweep;
    },
    close: () => store.close(),
  };
});

describe("memory store alone", () => {
  const counter = { key: "rate", max: 2, windowMs: 60_000 };

  it("Q11: a clock that jumps locks nobody out for longer than a window, and lets in one window more at most", async () => {
    for (const jump of [-3_600_000, 86_400_000]) {
      let time = Date.now();
      const store = createMemoryStore({ now: () => time });
      const admit = async (): Promise<boolean> => (await store.admit(admissionOf({ counters: [counter] }))).ok;
      expect([await admit(), await admit(), await admit()]).toEqual([true, true, false]);
      time += jump;
      expect([await admit(), await admit(), await admit()].filter(Boolean).length).toBeLessThanOrEqual(2);
      time += 2 * counter.windowMs;
      expect(await admit()).toBe(true);
    }
  });

  it("Q12: a million callers stay within the bound, and the oldest go first", async () => {
    const store = createMemoryStore({ maxKeys: 10_000 });
    const before = heapUsed();
    await store.admit(admissionOf({ counters: [{ ...counter, key: "first" }] }));
    for (let caller = 0; caller < 1_000_000; caller += 1)
      await store.admit(admissionOf({ counters: [{ ...counter, key: `caller ${caller}` }] }));
    expect((heapUsed() - before) / 2 ** 20).toBeLessThan(64);
    const again = await store.admit(admissionOf({ counters: [{ ...counter, key: "first" }] }));
    expect(again.ok && again.allowances[0]?.remaining).toBe(1);
    const known = await store.admit(admissionOf({ counters: [{ ...counter, key: "caller 999999" }] }));
    expect(known.ok && known.allowances[0]?.remaining).toBe(0);
  });

  it("never drops money, places or claims: when only they remain, new holds are refused", async () => {
    const store = createMemoryStore({ maxKeys: 10 });
    await store.claim("claimed", 60_000);
    const holds = Array.from({ length: 20 }, () => holdOf({ micros: 1, slots: [{ key: "slot", max: 100 }] }));
    const answers: Admitted[] = [];
    for (const hold of holds)
      answers.push(await store.admit(admissionOf({ hold, counters: [{ ...counter, max: 100 }] })));
    expect(answers.some((answer) => !answer.ok && answer.why === "full")).toBe(true);
    const open = holds.filter((_hold, at) => answers[at]?.ok);
    expect(await store.balances(["account"])).toEqual([{ spent: 0, reserved: open.length }]);
    expect(await store.claim("claimed", 60_000)).toBe(false);
    for (const hold of open) expect(await store.settle({ hold: hold.id }, {})).toMatchObject({ micros: 1 });
  });
});

/** What is kept, without what only waits to be collected. Bytes. */
function heapUsed(): number {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  return process.memoryUsage().heapUsed;
}
