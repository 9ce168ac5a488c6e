/** A process of its own with a store, or a whole proxy, on the Redis it is told. Started by {@link startWorker}. */
import { appendFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import type { Store } from "@keyway/core";
import { type ResultEvent, createNodeProxy } from "@keyway/node";
import { createRedisStore } from "@keyway/redis";
import { admissionOf, holdOf } from "./admissions.ts";
import { openClient } from "./clients.ts";
import type { Moment, Order, Serving, Start } from "./workers.ts";

const { client: name, port, namespace, upstream }: Start = JSON.parse(process.argv[2] ?? "{}");
const { client } = openClient(name, port);
const store = createRedisStore({ client, namespace, timeout: 5000 });

const told: unknown[] = [];
let refusedClaims = 0;

async function serve({ webhookUrl, port: at = 0, ledger, dies }: Serving): Promise<number> {
  const onResult = async (event: ResultEvent): Promise<void> => {
    if (dies === "tell") await die();
    await note(event);
    if (ledger !== undefined) appendFileSync(ledger, `${event.requestId}\n`);
  };
  const proxy = createNodeProxy({
    authorize: () => ({ id: "ann" }),
    endpoints: ["demo/**"],
    limits: { caller: { requests: { max: 10, per: "hour" } } },
    store: mortal(dies),
    upstream,
    timeouts: { store: 5000 },
    secret: "a secret that both share",
    ...(webhookUrl === undefined ? {} : { webhooks: { url: webhookUrl, onResult } }),
  });
  const server = createServer((request, response) => {
    void (request.url?.startsWith("/hook") ? proxy.webhook(request, response) : proxy.handle(request, response));
  }).listen(at, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return (server.address() as AddressInfo).port;
}

/** The store, in a process that dies at this moment of a delivery. */
function mortal(dies: Moment | undefined): Store {
  const isDelivery = (key: string): boolean => key.includes(":delivery:");
  return {
    ...store,
    async claim(key, leaseMs) {
      if (dies === "claim" && isDelivery(key)) await die();
      const ours = await store.claim(key, leaseMs);
      if (!ours && isDelivery(key)) refusedClaims += 1;
      return ours;
    },
    async put(key, ...value) {
      if (dies === "mark" && isDelivery(key)) await die();
      await store.put(key, ...value);
      if (dies === "answer" && isDelivery(key)) await die();
    },
  };
}

function die(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
}

/** Takes its time, so that copies meet one that is not over. */
async function note({ caller, requestId }: ResultEvent): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, 50);
  });
  told.push({ caller, requestId });
}

/** Any calls in any order; answers how much was charged here. */
async function trade(calls: number): Promise<number> {
  let charged = 0;
  const one = async (): Promise<void> => {
    const micros = 1 + Math.floor(Math.random() * 20);
    const hold = holdOf({ micros, perUnit: 1, slots: [{ key: "slot", max: 30 }] });
    if (!(await store.admit(admissionOf({ hold }))).ok) return;
    const job = `job ${hold.id}`;
    const bound = Math.random() < 0.7;
    if (bound) await store.bind(hold.id, job, "note", 60_000);
    if (Math.random() < 0.3) await store.extend(hold.id, 60_000, 1);
    if (bound && Math.random() < 0.5) await store.end(job, 1);
    const units = Math.floor(Math.random() * micros);
    const settlements = await Promise.all([
      store.settle(bound ? { job } : { hold: hold.id }, Math.random() < 0.2 ? "release" : { units }),
      store.settle({ hold: hold.id }, { units }),
    ]);
    for (const settled of settlements) charged += settled?.micros ?? 0;
  };
  for (let done = 0; done < calls; done += 50) await Promise.all(Array.from({ length: 50 }, one));
  return charged;
}

async function carryOut(order: Order): Promise<unknown> {
  switch (order.do) {
    case "serve":
      return serve(order);
    case "told":
      return told;
    case "refused claims":
      return refusedClaims;
    case "hold": {
      const holds = Array.from({ length: order.count }, () => holdOf({ leaseMs: order.leaseMs, micros: 1 }));
      return Promise.all(holds.map(async (hold) => (await store.admit(admissionOf({ hold }))).ok));
    }
    case "settle":
      return Promise.all(order.jobs.map((job) => store.settle({ job }, { units: 1 })));
    case "trade":
      return trade(order.calls);
  }
}

process.on("message", (order: Order) => {
  carryOut(order).then(
    (answer) => process.send?.({ answer }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ answer: "up" });
