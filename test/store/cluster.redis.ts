import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Cluster, Redis } from "ioredis";
import { createCluster } from "redis";
import { type RedisClient, createRedisStore } from "@keyway/redis";
import { admissionOf, holdOf } from "./admissions.ts";
import { clientNames, freshNamespace } from "./clients.ts";
import { type RedisServer, freePort, startRedis } from "./redis-server.ts";

describe("a cluster of two", () => {
  const nodes: RedisServer[] = [];
  beforeAll(async () => {
    for (const slots of ["0 8191", "8192 16383"]) {
      const node = await startRedis("--cluster-enabled", "yes", "--cluster-port", String(await freePort()));
      await command(node.port, "CLUSTER", "ADDSLOTSRANGE", ...slots.split(" "));
      nodes.push(node);
    }
    const [first, second] = nodes;
    if (first === undefined || second === undefined) return;
    const busPort = /@(\d+)/.exec(String(await command(second.port, "CLUSTER", "NODES")))?.[1] ?? "";
    await command(first.port, "CLUSTER", "MEET", "127.0.0.1", String(second.port), busPort);
    for (const { port } of nodes)
      while (!String(await command(port, "CLUSTER", "INFO")).includes("cluster_state:ok"))
        await new Promise((resolve) => {
          setTimeout(resolve, 50);
        });
  });
  afterAll(() => Promise.all(nodes.map((node) => node.close())));

  it.each(clientNames)("carries stores of many namespaces by %s", async (name) => {
    const port = nodes[0]?.port ?? 0;
    const { client, close } = await openCluster(name, port);
    for (let round = 0; round < 20; round += 1) {
      const store = createRedisStore({ client, namespace: freshNamespace(), timeout: 5000 });
      const hold = holdOf({ perUnit: 10 });
      const counters = [{ key: "rate", max: 1, windowMs: 60_000 }];
      expect((await store.admit(admissionOf({ hold, counters }))).ok).toBe(true);
      expect((await store.admit(admissionOf({ counters }))).ok).toBe(false);
      await store.bind(hold.id, "job", "note", 60_000);
      expect(await store.openJobs("account", 1)).toMatchObject([{ job: "job", note: "note" }]);
      expect(await store.settle({ job: "job" }, { units: 3 })).toEqual({ micros: 30, note: "note" });
      expect(await store.correct("job", 20)).toBe(-10);
      expect(await store.balances(["account"])).toEqual([{ spent: 20, reserved: 0 }]);
      expect(await store.get("job")).toBe("note");
    }
    const sizes = await Promise.all(nodes.map((node) => command(node.port, "DBSIZE")));
    expect(sizes.every((size) => Number(size) > 0)).toBe(true);
    close();
  });
});

async function openCluster(name: string, port: number): Promise<{ client: RedisClient; close: () => void }> {
  if (name === "ioredis") {
    const client = new Cluster([{ host: "127.0.0.1", port }], { enableOfflineQueue: false });
    return { client, close: () => client.disconnect() };
  }
  const client = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }] });
  await client.connect();
  return { client, close: () => client.destroy() };
}

async function command(port: number, name: string, ...args: string[]): Promise<unknown> {
  const client = new Redis(port, "127.0.0.1", { enableReadyCheck: false });
  try {
    return await client.call(name, ...args);
  } finally {
    client.disconnect();
  }
}
