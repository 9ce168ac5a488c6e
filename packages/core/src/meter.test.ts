import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Store, createKeyway, createMemoryStore } from "./index.ts";
import type { Exchange } from "./seam.ts";

const lease = 90_000;

/** An open stream on a store that is away when it is told. */
async function openStream(
  perMinute?: number,
): Promise<{ store: { isAway: boolean }; tick(this: void): Promise<string> }> {
  const state = { isAway: false };
  const memory = createMemoryStore();
  const store: Store = {
    ...memory,
    extend: async (...given) => {
      if (state.isAway) throw new Error("away");
      return memory.extend(...given);
    },
  };
  const { plan } = createKeyway({
    authorize: () => ({ id: "ada" }),
    endpoints: { "demo/**": perMinute === undefined ? {} : { price: { perMinute } } },
    upstream: { url: "http://127.0.0.1:1", key: "k" },
    timeouts: { openLease: lease },
    store,
  });
  const decided = await plan({
    head: {
      method: "POST",
      path: "/api/fal/proxy",
      query: null,
      mount: undefined,
      headers: [
        ["x-fal-target-url", "https://fal.run/demo/echo/stream"],
        ["content-type", "application/json"],
      ],
      address: "10.0.0.1",
      secure: false,
      upgrade: false,
    },
    native: undefined,
    codings: "identity",
    closing: false,
    body: async () => new TextEncoder().encode("{}"),
    isGone: () => false,
    waitUntil: () => undefined,
  });
  if (decided.type === "answer") throw new Error(new TextDecoder().decode(decided.body));
  const { meter } = decided satisfies Exchange;
  return {
    store: state,
    async tick() {
      vi.setSystemTime(Date.now() + (meter?.everyMs ?? 0));
      return (await meter?.tick()) ?? "no meter";
    },
  };
}

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

describe("an open stream while the store is away", () => {
  it("goes on to the end of its lease, and longer when the store is back in time", async () => {
    const { store, tick } = await openStream();
    for (let round = 0; round < 3; round += 1) {
      store.isAway = true;
      expect([await tick(), await tick()]).toEqual(["go", "go"]);
      store.isAway = false;
      expect(await tick()).toBe("go");
    }
    store.isAway = true;
    expect([await tick(), await tick(), await tick()]).toEqual(["go", "go", "stop"]);
  });

  it("stops when a minute is to be paid", async () => {
    const { store, tick } = await openStream(0.1);
    store.isAway = true;
    expect([await tick(), await tick()]).toEqual(["go", "stop"]);
  });
});
