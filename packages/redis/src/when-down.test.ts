import { type Store, createMemoryStore } from "@keyway/core";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { standInFor } from "./when-down.ts";

beforeEach(() => void vi.spyOn(console, "error").mockImplementation(() => undefined));
afterEach(() => void vi.restoreAllMocks());

const hold = {
  id: "hold",
  micros: 5,
  perUnit: undefined,
  perSecond: undefined,
  accounts: [{ key: "account", limit: undefined, until: Date.now() + 3_600_000 }],
  slots: [],
  leaseMs: 60_000,
};
const admission = { gate: "gate", recall: undefined, counters: [], hold };
const read = { since: 0, most: 9, first: "newest" } as const;

/** In place of Redis: it takes what it is asked, and while it is `deaf` its answers never arrive. */
function createDeaf(): { shared: Store; redis: Store; state: { deaf: boolean } } {
  const shared = createMemoryStore();
  const state = { deaf: true };
  const hear = async <T>(answer: Promise<T> | T): Promise<T> => {
    const given = await answer;
    if (state.deaf) throw new Error("no answer");
    return given;
  };
  const redis: Store = {
    ...shared,
    admit: (given) => hear(shared.admit(given)),
    bind: (...given) => hear(shared.bind(...given)),
    settle: (...given) => (state.deaf ? Promise.reject(new Error("away")) : shared.settle(...given)),
  };
  return { shared, redis, state };
}

describe.each(["memory", "open"] as const)("what Redis took without its answer coming back, %s", (whenDown) => {
  it("is given back when the call ends", async () => {
    const { shared, redis, state } = createDeaf();
    const store = standInFor(redis, whenDown);
    expect(await store.admit(admission)).toMatchObject({ ok: true });
    expect(await shared.balances(["account"])).toEqual([{ spent: 0, reserved: 5 }]);
    state.deaf = false;
    await store.bind(hold.id, "job", "note", 60_000, [{ key: "list", most: 9 }]);
    await expect.poll(() => shared.balances(["account"])).toEqual([{ spent: 0, reserved: 0 }]);
    expect(await shared.listed("list", read)).toMatchObject([{ job: "job", note: "note" }]);
    await store.settle({ job: "job" }, {});
    expect(await shared.balances(["account"])).toEqual([{ spent: 0, reserved: 0 }]);
  });
});

it("open, a call that ends without a job gives back what Redis took", async () => {
  const { shared, redis, state } = createDeaf();
  const store = standInFor(redis, "open");
  await store.admit(admission);
  state.deaf = false;
  expect(await store.extend(hold.id, 60_000, 5)).toBe(true);
  expect(await store.settle({ hold: hold.id }, {})).toBeNull();
  await expect.poll(() => shared.balances(["account"])).toEqual([{ spent: 0, reserved: 0 }]);
  expect(await store.extend(hold.id, 60_000, 0)).toBe(false);
});
