import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Store, createKeyway, createMemoryStore } from "./index.ts";
import type { Head } from "./head.ts";
import { laterHead } from "./meter.ts";
import type { Exchange } from "./seam.ts";

const lease = 90_000;

/** An open stream on a store that is away when it is told. */
async function openStream(perMinute?: number): Promise<{
  store: { isAway: boolean };
  tick(this: void): Promise<string>;
  /** So many looks at once: what is set aside then. */
  reservedAfter(this: void, ticks: number): Promise<number | undefined>;
  spentAfter(this: void, ms: number): Promise<number | undefined>;
}> {
  const state = { isAway: false };
  const memory = createMemoryStore();
  const store: Store = {
    ...memory,
    extend: async (...given) => {
      if (state.isAway) throw new Error("away");
      return memory.extend(...given);
    },
  };
  const keyway = createKeyway({
    authorize: () => ({ id: "ada" }),
    endpoints: { "demo/**": perMinute === undefined ? {} : { price: { perMinute } } },
    upstream: { url: "http://127.0.0.1:1", key: "k" },
    timeouts: { openLease: lease },
    limits: perMinute === undefined ? {} : { caller: { budget: { usd: 1, per: "day" } } },
    store,
  });
  const opened = Date.now();
  const decided = await keyway.plan({
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
  decided.head({ status: 200, headers: [] });
  const { meter } = decided satisfies Exchange;
  return {
    store: state,
    async tick() {
      vi.setSystemTime(Date.now() + (meter?.everyMs ?? 0));
      return (await meter?.tick()) ?? "no meter";
    },
    async reservedAfter(ticks) {
      vi.setSystemTime(Date.now() + (meter?.everyMs ?? 0));
      await Promise.all(Array.from({ length: ticks }, async () => meter?.tick()));
      return (await keyway.usage("ada")).reserved;
    },
    async spentAfter(ms) {
      vi.setSystemTime(opened + ms);
      decided.end("complete", { status: 200, bytesIn: 2, bytesOut: 0 });
      await new Promise((resolve) => setTimeout(resolve, 0));
      return (await keyway.usage("ada")).spent;
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

  it.each([
    [1, 0, 0.1],
    [41_000, 1, 0.1],
    [60_000, 1, 0.1],
    [61_000, 2, 0.2],
    [119_000, 3, 0.2],
    [121_000, 4, 0.3],
  ])("pays for %i ms, with %i looks at it, the minutes that have begun", async (ms, ticks, usd) => {
    vi.setSystemTime(Date.UTC(2027, 0, 5, 12));
    const { tick, spentAfter } = await openStream(0.1);
    for (let count = 0; count < ticks; count += 1) expect(await tick()).toBe("go");
    expect(await spentAfter(ms)).toBe(usd);
  });

  it("sets a minute aside once, though looks at it overlap", async () => {
    vi.setSystemTime(Date.UTC(2027, 0, 5, 12));
    const { reservedAfter } = await openStream(0.1);
    const reserved = [];
    for (let round = 0; round < 4; round += 1) reserved.push(await reservedAfter(5));
    expect(reserved).toEqual([0.1, 0.2, 0.2, 0.3]);
  });

  it("stops when a minute is to be paid", async () => {
    const { store, tick } = await openStream(0.1);
    store.isAway = true;
    expect([await tick(), await tick()]).toEqual(["go", "stop"]);
  });
});

it("a caller who got a cookie is asked about with it and with those he had, in one line (RFC 6265, section 5.4)", () => {
  const headers = [
    ["cookie", "a=1"],
    ["x-other", "2"],
    ["cookie", "id=old"],
  ] as const;
  const none = { query: null, mount: undefined, address: undefined };
  const head: Head = { method: "GET", path: "/", headers, secure: false, upgrade: false, ...none };
  expect(laterHead(head, [])).toBe(head);
  expect(laterHead(head, [["set-cookie", "id=new; Path=/; HttpOnly"]]).headers).toEqual([
    ["x-other", "2"],
    ["cookie", "id=new; a=1; id=old"],
  ]);
});
