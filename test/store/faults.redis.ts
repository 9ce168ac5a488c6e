import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Store } from "@keyway/core";
import { createRedisStore } from "@keyway/redis";
import { type ClientName, clientNames, freshNamespace, openClient, sharedRedis } from "./clients.ts";
import { startFakeRedis } from "./fake-redis.ts";
import { type Outcome, type Proxy, startProxy } from "./proxy.ts";
import { freePort, startRedis } from "./redis-server.ts";
import { startShim } from "../shim.ts";

/** 250 ms for the decision, and some for a busy machine that plays caller, proxy and upstream at once. */
const decided = 600;
/** A hundred calls at once take that machine a while, whatever the decision. */
const burst = 5000;
const recovered = 2000;

describe.each(clientNames)("a whole Keyway when Redis fails, by %s", (name) => {
  const closers: (() => unknown)[] = [];
  const log: string[] = [];
  beforeEach(() => {
    for (const method of ["error", "warn", "log"] as const)
      vi.spyOn(console, method).mockImplementation((...words: unknown[]) => void log.push(words.map(String).join(" ")));
  });
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close();
    vi.restoreAllMocks();
    log.length = 0;
  });

  async function bringUp(port: number, password?: string): Promise<Proxy & { store: Store }> {
    const { store, close } = openStore(name, port, password);
    closers.push(close);
    const proxy = await startProxy(store);
    closers.push(proxy.close);
    return Object.assign(proxy, { store });
  }

  function expectRefused({ status, code, ms }: Outcome, within = decided): void {
    expect({ status, code }).toEqual({ status: 500, code: "store_unavailable" });
    expect(ms).toBeLessThan(within);
  }

  /** Milliseconds until a submit is let in again. */
  async function recovery(proxy: Proxy): Promise<number> {
    const started = performance.now();
    while ((await proxy.submit()).status !== 200) {
      if (performance.now() - started > 10_000) throw new Error("not recovered");
      await pause(20);
    }
    return performance.now() - started;
  }

  it("Q16: Redis down at start: spending calls are refused, and let in when it comes", async () => {
    const port = await freePort();
    const proxy = await bringUp(port);
    expectRefused(await proxy.submit());
    expectRefused(await proxy.submit());
    expect(proxy.upstream.arrivals).toHaveLength(0);
    const shim = await startShim(sharedRedis(), port);
    expect(await recovery(proxy)).toBeLessThan(recovered);
    await shim.close();
  });

  it("the first call after start waits for the connection", async () => {
    const proxy = await bringUp(sharedRedis());
    expect((await proxy.submit()).status).toBe(200);
  });

  it("Q17: Redis dies under load: refused within 250 ms, polls and results go on, and it recovers", async () => {
    const redis = await startRedis();
    closers.push(redis.close);
    const proxy = await bringUp(redis.port);
    const { fields } = await proxy.submit();
    const load = Array.from({ length: 40 }, async (_, at) => {
      await pause(at * 5);
      return proxy.submit();
    });
    await pause(100);
    await redis.stop();
    const outcomes = await Promise.all(load);
    expect(outcomes.some(({ status }) => status === 200)).toBe(true);
    expect(outcomes.some(({ status }) => status === 500)).toBe(true);
    for (const outcome of outcomes) if (outcome.status !== 200) expectRefused(outcome, burst);
    expectRefused(await proxy.submit());
    expect(await proxy.poll(fields["request_id"])).toMatchObject({ status: 200, fields: { status: "IN_QUEUE" } });
    proxy.state = "COMPLETED";
    expect((await proxy.poll(fields["request_id"])).status).toBe(200);
    expect((await proxy.result(fields["request_id"])).status).toBe(200);
    await redis.start();
    expect(await recovery(proxy)).toBeLessThan(recovered);
  });

  it("Q18: Redis answers after 5 s: refused within 250 ms, and calls do not queue", async () => {
    const shim = await startShim(sharedRedis());
    closers.push(shim.close);
    const proxy = await bringUp(shim.port);
    expect((await proxy.submit()).status).toBe(200);
    const before = proxy.upstream.arrivals.length;
    shim.answers = { latency: 5000 };
    for (const outcome of await Promise.all(Array.from({ length: 50 }, proxy.submit))) expectRefused(outcome, burst);
    const late = await Promise.all(Array.from({ length: 200 }, proxy.submit));
    for (const outcome of late) expectRefused(outcome, burst);
    expectRefused(await proxy.submit());
    expect(proxy.upstream.arrivals).toHaveLength(before);
    shim.answers = {};
    expect(await recovery(proxy)).toBeLessThan(6000);
    const usage = await proxy.store.openJobs("none", 1);
    expect(usage).toEqual([]);
  });

  it("Q18: a Redis that says nothing is asked no more, but for what gives back", async () => {
    const fake = await startFakeRedis();
    closers.push(fake.close);
    fake.answer(() => undefined);
    const proxy = await bringUp(fake.port);
    expectRefused(await proxy.submit());
    for (const outcome of await Promise.all(Array.from({ length: 100 }, proxy.submit))) expectRefused(outcome, burst);
    const next = await proxy.submit();
    expectRefused(next);
    expect(next.ms).toBeLessThan(200);
    const methods = fake.commands.filter(([command]) => command === "EVALSHA").map((command) => command[4]);
    expect(methods.filter((method) => method === "admit")).toHaveLength(1);
    expect(methods.filter((method) => method !== "admit" && method !== "settle")).toEqual([]);
  });

  it("Q18: what an admission took that came too late is given back", async () => {
    const shim = await startShim(sharedRedis());
    closers.push(shim.close);
    const { store, close } = openStore(name, shim.port);
    closers.push(close);
    const proxy = await startProxy(store, { limits: { caller: { jobs: 5, budget: { usd: 1000, per: "day" } } } });
    closers.push(proxy.close);
    await store.get("anything");
    shim.answers = { latency: 600 };
    for (const outcome of await Promise.all(Array.from({ length: 5 }, proxy.submit))) expectRefused(outcome, burst);
    shim.answers = {};
    await pause(1500);
    for (let call = 0; call < 5; call += 1) expect((await proxy.submit()).status).toBe(200);
  });

  it("Q19: Redis up and down: refused or let in, never anything else, and back within 2 s", async () => {
    const shim = await startShim(sharedRedis());
    closers.push(shim.close);
    const proxy = await bringUp(shim.port);
    expect((await proxy.submit()).status).toBe(200);
    const outcomes: Outcome[] = [];
    for (let round = 0; round < 8; round += 1) {
      shim.cut(round % 2 === 0);
      const until = performance.now() + 300;
      while (performance.now() < until) {
        outcomes.push(await proxy.submit());
        await pause(10);
      }
    }
    shim.cut(false);
    expect(await recovery(proxy)).toBeLessThan(recovered);
    for (const outcome of outcomes) if (outcome.status !== 200) expectRefused(outcome);
    expect(outcomes.some(({ status }) => status === 500)).toBe(true);
  });

  const replies = [
    "-READONLY You can't write against a read only replica.",
    "-OOM command not allowed when used memory > 'maxmemory'.",
    "-LOADING Redis is loading the dataset in memory",
    "-CLUSTERDOWN The cluster is down",
    "-WRONGTYPE Operation against a key holding the wrong kind of value",
    "-NOSCRIPT No matching script.",
    "-MISCONF Redis is configured to save RDB snapshots",
    "-ERR unknown",
    ":1",
    "+OK",
    "$-1",
    "*0",
    "*2\r\n$2\r\nok\r\n$3\r\none",
    "*1\r\n$5\r\nother",
  ];
  it.each(replies)("Q20: %j refuses spending calls, and nothing is sent again", async (reply) => {
    const fake = await startFakeRedis();
    closers.push(fake.close);
    fake.answer(() => `${reply}\r\n`);
    const proxy = await bringUp(fake.port);
    expectRefused(await proxy.submit());
    expect(proxy.upstream.arrivals).toHaveLength(0);
    const admissions = fake.commands.filter((command) => command.includes("admit"));
    expect(admissions.map(([command]) => command)).toEqual(
      reply.startsWith("-NOSCRIPT") ? ["EVALSHA", "EVAL"] : ["EVALSHA"],
    );
  });

  const broken: readonly (readonly [what: string, bytes: () => string | Uint8Array | undefined])[] = [
    ["100 MiB in one string", () => Buffer.concat([Buffer.from("$104857600\r\n"), Buffer.alloc(104_857_602, "x")])],
    ["what is no RESP", () => "HTTP/1.1 400 Bad Request\r\n\r\n"],
    ["a length that is none", () => "$x\r\n"],
    ["an endless list", () => "*999999999\r\n"],
    ["nothing", () => undefined],
  ];
  it.each(broken)("Q21: %s refuses spending calls, and the process lives on", async (_what, bytes) => {
    // Reading 100 MiB keeps the client busy for longer than a call may take.
    const within = 5000;
    const fake = await startFakeRedis();
    closers.push(fake.close);
    fake.answer(bytes);
    const proxy = await bringUp(fake.port);
    expectRefused(await proxy.submit(), within);
    expectRefused(await proxy.submit(), within);
    expect(proxy.upstream.arrivals).toHaveLength(0);
  });

  it("Q22: a wrong password refuses spending calls and is in no line of the log", async () => {
    const redis = await startRedis("--requirepass", "the-right-password");
    closers.push(redis.close);
    const proxy = await bringUp(redis.port, "the-wrong-password");
    for (let call = 0; call < 3; call += 1) {
      expectRefused(await proxy.submit());
      await pause(100);
    }
    expect(log.length).toBeGreaterThan(0);
    expect(log.join("\n")).not.toMatch(/the-(?:wrong|right)-password|redis:\/\//);
  });

  it("costs a submit two round trips, a poll none, the first end one and the result one", async () => {
    const { client, close } = openClient(name, sharedRedis());
    closers.push(close);
    let trips = 0;
    const counting = new Proxy(client, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target);
        if (typeof value !== "function") return value;
        return (...args: unknown[]): unknown => {
          if (property === "evalsha" || property === "evalSha" || property === "eval") trips += 1;
          return Reflect.apply(value, target, args);
        };
      },
    });
    const store = createRedisStore({ client: counting, namespace: freshNamespace() });
    await store.get("loads the script");
    const proxy = await startProxy(store);
    closers.push(proxy.close);
    const costOf = async (call: () => Promise<Outcome>): Promise<number> => {
      const before = trips;
      expect((await call()).status).toBe(200);
      await pause(20);
      return trips - before;
    };
    let id: unknown;
    const submit = async (): Promise<Outcome> => {
      const outcome = await proxy.submit();
      id = outcome.fields["request_id"];
      return outcome;
    };
    const costs = {
      submit: await costOf(submit),
      poll: await costOf(() => proxy.poll(id)),
      end: 0,
      later: 0,
      result: 0,
    };
    proxy.state = "COMPLETED";
    costs.end = await costOf(() => proxy.poll(id));
    costs.later = await costOf(() => proxy.poll(id));
    costs.result = await costOf(() => proxy.result(id));
    expect(costs).toEqual({ submit: 2, poll: 0, end: 1, later: 0, result: 1 });
  });
});

function openStore(name: ClientName, port: number, password?: string): { store: Store; close: () => void } {
  const { client, close } = openClient(name, port, password);
  return { store: createRedisStore({ client, namespace: freshNamespace() }), close };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
