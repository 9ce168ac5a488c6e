import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi, onTestFinished } from "vitest";
import { Redis } from "ioredis";
import { createClient } from "redis";
import { type RedisClient, createRedisStore } from "@keyway/redis";
import { admissionOf, holdOf } from "./admissions.ts";
import { describeStore } from "./behaviours.ts";
import { type OpenClient, clientNames, freshNamespace, openClient, sharedRedis } from "./clients.ts";

for (const name of clientNames) {
  let open: OpenClient | undefined;
  const client = (): RedisClient => (open ??= openClient(name, sharedRedis())).client;

  describeStore(`Redis store by ${name}`, async () => {
    const store = createRedisStore({ client: client(), namespace: freshNamespace(), timeout: 5000 });
    return {
      store,
      elapse: (ms) =>
        new Promise((resolve) => {
          setTimeout(resolve, ms + 2);
        }),
      close: () => store.close(),
    };
  });

  describe(`Redis store by ${name} alone`, () => {
    const admin = new Redis(sharedRedis(), "127.0.0.1", { lazyConnect: true });
    beforeAll(() => admin.connect());
    afterAll(() => {
      admin.disconnect();
      open?.close();
    });

    it("everything expires, all keys are in one slot, and namespaces do not meet", async () => {
      const namespace = freshNamespace();
      const store = createRedisStore({ client: client(), namespace });
      const counters = [{ key: "rate", max: 5, windowMs: 60_000 }];
      for (const outcome of ["release", { units: 2 }, "open", "lost"] as const) {
        const hold = holdOf({ micros: 5, perUnit: 1, slots: [{ key: "slot", max: 9 }] });
        await store.admit(admissionOf({ counters, hold }));
        if (outcome === "lost") continue;
        await store.bind(hold.id, `job ${JSON.stringify(outcome)}`, "note", 60_000);
        if (outcome !== "open") await store.settle({ hold: hold.id }, outcome);
      }
      await store.put("value", "x", 1000);
      await store.claim("claim", 1000);
      const keys = (await admin.keys("*")).filter((key) => key.includes(namespace));
      const kinds = new Set(keys.map((key) => key.split(":")[2]));
      expect(kinds).toEqual(
        new Set(["charge", "hold", "job", "leases", "money", "note", "open", "rate", "slot", "value"]),
      );
      for (const key of keys) {
        expect(key.startsWith(`{${namespace}}:1:`), key).toBe(true);
        const left = await admin.pttl(key);
        expect(left, key).toBeGreaterThan(0);
        expect(left, key).toBeLessThan(60 * 24 * 3_600_000);
      }
      const other = createRedisStore({ client: client(), namespace: freshNamespace() });
      expect(await other.get("value")).toBeNull();
      expect(await other.balances(["account"])).toEqual([{ spent: 0, reserved: 0 }]);
    });

    it("leaves nothing but charges and money when everything is settled", async () => {
      const namespace = freshNamespace();
      const store = createRedisStore({ client: client(), namespace });
      for (let call = 0; call < 20; call += 1) {
        const hold = holdOf({ micros: 1 });
        await store.admit(admissionOf({ hold }));
        await store.bind(hold.id, `job ${call}`, "note", 50);
        await store.settle({ job: `job ${call}` }, {});
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 80);
      });
      const keys = (await admin.keys("*")).filter((key) => key.includes(namespace));
      expect(new Set(keys.map((key) => key.split(":")[2]))).toEqual(new Set(["charge", "money"]));
    });

    it("Q11: the clock of a process does not matter", async () => {
      const store = createRedisStore({ client: client(), namespace: freshNamespace() });
      const counters = [{ key: "rate", max: 1, windowMs: 60_000 }];
      expect((await store.admit(admissionOf({ counters, hold: holdOf({ leaseMs: 60_000 }) }))).ok).toBe(true);
      vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 86_400_000 });
      try {
        expect((await store.admit(admissionOf({ counters }))).ok).toBe(false);
        expect(await store.balances(["account"])).toEqual([{ spent: 0, reserved: 100 }]);
      } finally {
        vi.useRealTimers();
      }
    });

    it("an admission that a client sends again takes nothing twice", async () => {
      const store = createRedisStore({ client: client(), namespace: freshNamespace() });
      const hold = holdOf({ micros: 600 });
      for (let sent = 0; sent < 3; sent += 1) expect((await store.admit(admissionOf({ hold }))).ok).toBe(true);
      expect(await store.balances(["account"])).toEqual([{ spent: 0, reserved: 600 }]);
    });

    it("works below a client's own key prefix", async () => {
      const namespace = freshNamespace();
      const prefixed =
        name === "ioredis"
          ? new Redis(sharedRedis(), "127.0.0.1", { keyPrefix: "app:" })
          : createClient({ url: `redis://127.0.0.1:${sharedRedis()}`, keyPrefix: "app:" });
      if (!(prefixed instanceof Redis)) await prefixed.connect();
      const store = createRedisStore({ client: prefixed, namespace });
      const hold = holdOf();
      await store.admit(admissionOf({ hold }));
      expect(await store.settle({ hold: hold.id }, {})).toMatchObject({ micros: 100 });
      const keys = (await admin.keys("*")).filter((key) => key.includes(namespace));
      expect(keys).toEqual([`app:{${namespace}}:1:money:account`]);
      if (prefixed instanceof Redis) prefixed.disconnect();
      else prefixed.destroy();
    });

    it("answers thousands of calls that come at once", async () => {
      const store = createRedisStore({ client: client(), namespace: freshNamespace(), timeout: 5000 });
      const calls = Array.from({ length: 3000 }, async () =>
        store.admit(admissionOf({ hold: holdOf({ accounts: [], slots: [] }) })),
      );
      expect((await Promise.all(calls)).filter(({ ok }) => !ok)).toEqual([]);
    });

    it("Q20: a server that forgot the script gets it again, once", async () => {
      const store = createRedisStore({ client: client(), namespace: freshNamespace(), timeout: 5000 });
      for (let round = 0; round < 3; round += 1) {
        await admin.script("FLUSH");
        await Promise.all([1, 2, 3].map((value) => store.put(`key ${value}`, "x", 1000)));
        expect(await store.get("key 2")).toBe("x");
      }
    });
  });
}

describe("createRedisStore", () => {
  it.each([
    [{ client: undefined }, /takes a client/],
    [{ client: {} }, /takes a client/],
    [{ namespace: "a b" }, /namespace/],
    [{ namespace: "{a}" }, /namespace/],
    [{ timeout: 0 }, /timeout/],
    [{ timeout: Number.NaN }, /timeout/],
  ])("refuses %o", (wrong, message) => {
    const client = new Redis({ lazyConnect: true });
    const options = { client, ...wrong } as Parameters<typeof createRedisStore>[0];
    expect(() => createRedisStore(options)).toThrow(message);
  });

  /** A client whose Redis never answers. */
  const silent = {
    evalsha: () => new Promise<never>(() => undefined),
    eval: async () => 1,
    connect: async () => undefined,
    status: "ready",
    on: () => undefined,
  };

  it("waits for as long as timeout says", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const store = createRedisStore({ client: silent, timeout: 40 });
    let said = "";
    store.get("value").catch((error: unknown) => (said = String(error)));
    await vi.advanceTimersByTimeAsync(39);
    expect(said).toBe("");
    await vi.advanceTimersByTimeAsync(1);
    expect(said).toContain("Redis did not answer in time");
    await expect(store.get("value")).rejects.toThrow("Redis has not answered earlier calls yet");
  });

  it("asks for as many as 10,000 at once, and not for more", async () => {
    const store = createRedisStore({ client: silent, timeout: 1000 });
    const asked = Array.from({ length: 10_001 }, () => store.get("value").catch((error: unknown) => String(error)));
    expect(await Promise.race(asked)).toContain("has not answered earlier calls");
    const said = await Promise.all(asked);
    expect(said.filter((text) => text?.includes("in time"))).toHaveLength(10_000);
  });

  it("hands on what a client throws without URLs, arguments and stack", async () => {
    const thrown = Object.assign(new Error("failed at redis://user:pass-word@host:1/0\nand more"), {
      command: { name: "evalsha", args: ["secret"] },
    });
    const stub = { evalsha: () => Promise.reject(thrown), eval: async () => 1, connect: async () => undefined };
    const store = createRedisStore({ client: { ...stub, status: "ready", on: () => undefined } });
    const error: unknown = await store.get("value").catch((cause: unknown) => cause);
    expect(inspect(error)).toContain("Redis failed: failed at [redacted]");
    expect(inspect(error, { depth: 9 })).not.toMatch(/pass-word|secret|and more/);
  });

  const urls: readonly (readonly [url: string, warns: boolean])[] = [
    ["redis://user:pass-word@redis.example:6379", true],
    ["rediss://user:pass-word@redis.example:6379", false],
    ["redis://127.0.0.1:6379", false],
    ["redis://localhost:6379", false],
  ];
  it.each(urls)("C28: %s in plain text to another host warns: %s", (url, warns) => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    createRedisStore({ client: new Redis(url, { lazyConnect: true }) });
    createRedisStore({ client: createClient({ url }) });
    const lines = warn.mock.calls.map(String);
    warn.mockRestore();
    expect(lines).toHaveLength(warns ? 2 : 0);
    for (const line of lines) expect(line).not.toMatch(/pass-word|redis\.example|redis:\/\//);
  });
});
