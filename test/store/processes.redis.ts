import { afterEach, describe, expect, it } from "vitest";
import { createRedisStore } from "@keyway/redis";
import { always, startUpstream } from "../upstream.ts";
import { admissionOf, holdOf } from "./admissions.ts";
import { type OpenClient, clientNames, freshNamespace, openClient, sharedRedis } from "./clients.ts";
import { type Start, type Worker, startWorker } from "./workers.ts";

describe.each(clientNames)("two processes on one Redis by %s", (name) => {
  const workers: Worker[] = [];
  let open: OpenClient | undefined;
  afterEach(async () => {
    await Promise.all(workers.splice(0).map((worker) => worker.kill()));
    open?.close();
    open = undefined;
  });

  async function bringUp(start: Partial<Start> = {}): Promise<{ pair: Worker[]; namespace: string }> {
    const namespace = freshNamespace();
    const whole = { client: name, port: sharedRedis(), namespace, ...start };
    const pair = await Promise.all([startWorker(whole), startWorker(whole)]);
    workers.push(...pair);
    return { pair, namespace };
  }
  function storeIn(namespace: string): ReturnType<typeof createRedisStore> {
    open = openClient(name, sharedRedis());
    return createRedisStore({ client: open.client, namespace, timeout: 5000 });
  }

  it("Q03: of 100 calls at once at limit 10, exactly 10 are forwarded", async () => {
    const upstream = await startUpstream();
    upstream.answer(always(200, { "content-type": "application/json" }, "{}"));
    const { pair } = await bringUp({ upstream: upstream.option });
    const ports = await Promise.all(pair.map((worker) => worker.ask<number>({ do: "serve" })));
    const statuses = await Promise.all(
      Array.from({ length: 100 }, async (_, at) => {
        const answer = await fetch(`http://127.0.0.1:${ports[at % 2]}/`, {
          method: "POST",
          headers: { "content-type": "application/json", "x-fal-target-url": "https://fal.run/demo/echo" },
          body: "{}",
        });
        await answer.arrayBuffer();
        return answer.status;
      }),
    );
    expect(upstream.arrivals).toHaveLength(10);
    expect(statuses.filter((status) => status === 200)).toHaveLength(10);
    expect(statuses.filter((status) => status === 429)).toHaveLength(90);
    await Promise.all(workers.splice(0).map((worker) => worker.kill()));
    await upstream.close();
  });

  it("Q15 F27: a killed process's places are free when their lease ends, and its money is charged", async () => {
    const { pair, namespace } = await bringUp();
    const store = storeIn(namespace);
    expect(await pair[0]?.ask({ do: "hold", count: 3, leaseMs: 1000 })).toEqual([true, true, true]);
    await pair[0]?.kill();
    const killed = Date.now();
    const hold = holdOf({ micros: 1 });
    expect(await store.admit(admissionOf({ hold }))).toMatchObject({ ok: false, why: "slots" });
    while (!(await store.admit(admissionOf({ hold }))).ok)
      await new Promise((resolve) => {
        setTimeout(resolve, 20);
      });
    expect(Date.now() - killed).toBeLessThan(1500);
    expect(await store.balances(["account"])).toEqual([{ spent: 3, reserved: 1 }]);
  });

  it("a job is settled exactly once", async () => {
    const { pair, namespace } = await bringUp();
    const store = storeIn(namespace);
    const jobs = Array.from({ length: 50 }, (_, at) => `job ${at}`);
    for (const job of jobs) {
      const hold = holdOf({ micros: 10, perUnit: 10, slots: [] });
      await store.admit(admissionOf({ hold }));
      await store.bind(hold.id, job, job, 60_000);
    }
    const answers = await Promise.all(pair.map((worker) => worker.ask<unknown[]>({ do: "settle", jobs })));
    const settled = answers.flat().filter((answer) => answer !== null);
    expect(settled).toHaveLength(50);
    expect(await store.balances(["account"])).toEqual([{ spent: 500, reserved: 0 }]);
  });

  it("what both charge adds up, and never passes the budget", async () => {
    const { pair, namespace } = await bringUp();
    const store = storeIn(namespace);
    let over = false;
    const seen: number[] = [];
    const watch = (async (): Promise<void> => {
      while (!over) {
        const [balance] = await store.balances(["account"]);
        seen.push((balance?.spent ?? 0) + (balance?.reserved ?? 0));
      }
    })();
    const charged = await Promise.all(pair.map((worker) => worker.ask<number>({ do: "trade", calls: 500 })));
    over = true;
    await watch;
    const [balance] = await store.balances(["account"]);
    expect(balance).toEqual({ spent: (charged[0] ?? 0) + (charged[1] ?? 0), reserved: 0 });
    expect(seen.length).toBeGreaterThan(5);
    expect(Math.max(...seen)).toBeLessThanOrEqual(1000);
    expect((await store.admit(admissionOf({ hold: holdOf({ micros: 0, slots: [{ key: "slot", max: 1 }] }) }))).ok).toBe(
      true,
    );
  });
});
