import { createRedisStore } from "@keyway/redis";
import { afterEach, describe, expect, it, vi } from "vitest";
import { clientNames, openClient } from "./clients.ts";
import { type Proxy, startProxy } from "./proxy.ts";
import { freePort, startRedis } from "./redis-server.ts";
import { startShim } from "../shim.ts";

describe.each(clientNames)("while Redis is away, by %s", (name) => {
  const closers: (() => unknown)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
    vi.restoreAllMocks();
  });

  async function start(port: number, whenDown: "memory" | "open"): Promise<Proxy> {
    const { client, close } = openClient(name, port);
    closers.push(close);
    const proxy = await startProxy(createRedisStore({ client, whenDown }), {
      limits: { caller: { requests: { max: 3, per: "day" }, budget: { usd: 1, per: "day" } } },
    });
    closers.push(proxy.close);
    return proxy;
  }

  function listen() {
    return vi.spyOn(console, "error").mockImplementation(() => undefined);
  }

  it("Q23: from memory, each process counts for itself, settles what it let in, and says so", async () => {
    const said = listen();
    const port = await freePort();
    const [one, two] = [await start(port, "memory"), await start(port, "memory")];
    for (const proxy of [one, two]) {
      const submitted = await Promise.all([1, 2, 3, 4, 5].map(() => proxy.submit()));
      expect(submitted.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 429, 429]);
      expect(proxy.upstream.arrivals).toHaveLength(3);
      const { fields } = submitted.find(({ status }) => status === 200) ?? {};
      proxy.state = "COMPLETED";
      expect((await proxy.poll(fields?.["request_id"])).status).toBe(200);
      expect((await proxy.result(fields?.["request_id"])).status).toBe(200);
    }
    const lines = said.mock.calls
      .map(([line]) => String(line))
      .filter((line) => line.includes("counted in this process"));
    expect(lines).toHaveLength(2);
  });

  it("Q16: open, calls go on uncounted, and are counted again as soon as Redis is there", async () => {
    const said = listen();
    const redis = await startRedis();
    closers.push(redis.close);
    const port = await freePort();
    const proxy = await start(port, "open");
    const away = await Promise.all([1, 2, 3, 4, 5].map(() => proxy.submit()));
    expect(away.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(said.mock.calls.flat().join("\n")).toContain("let in uncounted");
    const shim = await startShim(redis.port, port);
    closers.push(() => shim.close());
    await expect.poll(async () => (await proxy.submit()).status, { timeout: 10_000, interval: 100 }).toBe(429);
  });

  it("open, what is open goes on while Redis is away and when it is back, and then counts for nothing", async () => {
    listen();
    const redis = await startRedis();
    closers.push(redis.close);
    const port = await freePort();
    const { client, close } = openClient(name, port);
    closers.push(close);
    const store = createRedisStore({ client, whenDown: "open" });
    const hold = {
      id: `open ${name}`,
      micros: 5,
      perUnit: undefined,
      perSecond: undefined,
      accounts: [],
      slots: [],
      leaseMs: 1000,
    };
    expect(await store.admit({ gate: "g", recall: undefined, counters: [], hold })).toMatchObject({ ok: true });
    expect(await store.extend(hold.id, 1000, 0)).toBe(true);
    const shim = await startShim(redis.port, port);
    closers.push(() => shim.close());
    await expect.poll(() => store.get("nothing").catch(() => "away"), { timeout: 10_000, interval: 100 }).toBeNull();
    expect(await store.extend(hold.id, 1000, 5)).toBe(true);
    expect(await store.settle({ hold: hold.id }, {})).toBeNull();
    expect(await store.extend(hold.id, 1000, 0)).toBe(false);
  });

  it("a Redis that dies is stood in for as well", async () => {
    listen();
    const redis = await startRedis();
    closers.push(redis.close);
    const proxy = await start(redis.port, "memory");
    expect((await proxy.submit()).status).toBe(200);
    await redis.stop();
    const away = await Promise.all([1, 2, 3, 4].map(() => proxy.submit()));
    expect(away.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 200, 200, 429]);
  });
});
