import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Redis } from "ioredis";
import { type RedisServer, startRedis } from "../store/redis-server.ts";
import { type Bounds, type Check, type Taken, judgeMemory } from "./figures.ts";
import { type Load, startLoad } from "./load.ts";
import type { Sample, Start, Told } from "./proxy.ts";
import { createTickets } from "./tickets.ts";
import { startSoakUpstream } from "./upstream.ts";
import { type Webhooks, createWebhooks } from "./webhooks.ts";

export interface Plan {
  readonly minutes: number;
  readonly seed: number;
  /** Streams, and as many sockets. */
  readonly each: number;
  readonly bounds: Bounds;
  readonly leaks: boolean;
}

const minute = 60_000;
const sampleEvery = 5000;
/** Within this time after the last caller left everything must be as it was. */
const settlesWithin = 10_000;

/** Runs the load and says what held. */
export async function soak(plan: Plan): Promise<Check[]> {
  const namespace = "soak";
  // What Redis held is there again after a restart, as it is for an app that keeps money in it.
  const redis = await startRedis("--appendonly", "yes", "--appendfsync", "always");
  const tickets = createTickets(plan.seed);
  const webhooks = createWebhooks();
  const upstream = await startSoakUpstream(tickets, webhooks);
  const proxy = await startProxy({ upstream: upstream.option, redis: redis.port, namespace, leaks: plan.leaks });
  try {
    await pause(1000);
    const base = await proxy.look(true);
    const origin = `http://127.0.0.1:${proxy.port}`;
    const load = startLoad(`${origin}/api/fal/proxy`, tickets, plan.each);
    const submitted = new AbortController();
    const delivered = webhooks.submitTo(origin, submitted.signal);
    const rotation = setTimeout(() => webhooks.rotate(), plan.minutes * 0.7 * minute);
    const samples = await watch(proxy, redis, load, plan);
    clearTimeout(rotation);
    submitted.abort();
    await delivered;
    await load.finish(() => upstream.finish());
    const { took, last } = await settle(proxy, base);
    return [
      ...judgeMemory(samples, plan.bounds),
      ...judgeLoad(load),
      judgeWebhooks(webhooks, last),
      judgeRest(base, samples, last, took),
      await judgePlaces(redis.port, namespace),
      {
        name: `${last.mishaps.length} mishaps ${last.mishaps.slice(0, 3).join("; ")}`,
        holds: last.mishaps.length === 0,
      },
      { name: proxy.isAlive() ? "the process lived" : "the process died", holds: proxy.isAlive() },
    ];
  } finally {
    await proxy.stop();
    await upstream.close();
    await redis.close();
  }
}

interface Proxy {
  readonly port: number;
  look(collect: boolean): Promise<Sample>;
  isAlive(): boolean;
  stop(): Promise<void>;
}

async function startProxy(start: Start): Promise<Proxy> {
  const child: ChildProcess = fork(join(import.meta.dirname, "proxy.ts"), [JSON.stringify(start)], {
    execArgv: ["--conditions=@keyway/source", "--expose-gc", "--no-warnings"],
    env: { ...process.env, NODE_ENV: "production" },
  });
  const died = once(child, "exit").then(([code]) => {
    throw new Error(`the proxy ended with ${String(code)}`);
  });
  died.catch(() => undefined);
  const told = async (): Promise<Told> => {
    const said = new Promise<Told>((resolve) => child.once("message", (message: Told) => resolve(message)));
    return Promise.race([said, died]);
  };
  const first = await told();
  return {
    port: "port" in first ? first.port : 0,
    async look(collect) {
      child.send(collect ? "collect and look" : "look");
      const message = await told();
      if ("port" in message) throw new Error("the proxy was started twice");
      return message;
    },
    isAlive: () => child.exitCode === null && child.signalCode === null,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

/** Looks every five seconds, behind a collection each third time, and restarts Redis after a third and two thirds of a long run. */
async function watch(proxy: Proxy, redis: RedisServer, load: Load, { minutes }: Plan): Promise<Taken[]> {
  const began = Date.now();
  const restarts = minutes >= 15 ? [10, 20] : [minutes / 2];
  const samples: Taken[] = [];
  for (let count = 1; Date.now() - began < minutes * minute; count += 1) {
    await pause(sampleEvery);
    const at = (Date.now() - began) / minute;
    const isCollected = count % 3 === 0;
    samples.push({ ...(await proxy.look(isCollected)), at, isCollected });
    if (restarts[0] === undefined || at < restarts[0]) continue;
    restarts.shift();
    load.expectRefusals(true);
    await redis.stop();
    await pause(2000);
    await redis.start();
    // The client finds it again within a second or two.
    setTimeout(() => load.expectRefusals(false), 5000);
  }
  return samples;
}

/** Waits until nothing is open that was not before. */
async function settle(proxy: Proxy, base: Sample): Promise<{ took: number; last: Sample }> {
  const began = Date.now();
  for (;;) {
    const last = await proxy.look(false);
    const took = Date.now() - began;
    if (leftovers(base, last).length === 0 || took > settlesWithin) return { took, last };
    await pause(250);
  }
}

function leftovers(base: Sample, now: Sample): string[] {
  return Object.entries(now.resources)
    .filter(([name, count]) => count > (base.resources[name] ?? 0))
    .map(([name, count]) => `${name} ${count} (${base.resources[name] ?? 0})`);
}

function judgeRest(base: Sample, samples: readonly Taken[], last: Sample, took: number): Check {
  const left = leftovers(base, last);
  const peak = (name: string): number => Math.max(...samples.map(({ resources }) => resources[name] ?? 0));
  const most = `at most ${peak("TCPSocketWrap")} sockets and ${peak("Timeout")} timers`;
  const name = `${most}; ${left.length === 0 ? "all back" : `left over: ${left.join(", ")}`} after ${(took / 1000).toFixed(1)} s`;
  return { name, holds: left.length === 0 && peak("TCPSocketWrap") > 100 };
}

/** Places of calls that are over. */
async function judgePlaces(port: number, namespace: string): Promise<Check> {
  const redis = new Redis(port, "127.0.0.1");
  let taken = 0;
  for (const name of await redis.keys(`{${namespace}}:*:slot:*`)) taken += await redis.zcount(name, Date.now(), "+inf");
  redis.disconnect();
  return { name: `${taken} places still taken`, holds: taken === 0 };
}

/** Each job's result was delivered at least twice, and told once. */
function judgeWebhooks({ tally, lost }: Webhooks, { told }: Sample): Check {
  const { submitted, believed, refused } = tally;
  const name = `webhooks: ${submitted} jobs, ${believed} deliveries believed, ${refused} to be repeated, ${told.times} told of ${told.jobs} jobs, 1 rotation`;
  const isOnce = told.times === told.jobs && told.jobs >= submitted;
  return { name, holds: submitted > 0 && lost.length === 0 && isOnce && believed >= 2 * submitted };
}

function judgeLoad({ tally, wrongs }: Load): Check[] {
  const { calls, streams, sockets } = tally;
  const outcomes = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  const events = tally.sent === tally.received;
  return [
    { name: `calls: ${outcomes(calls)}`, holds: (calls["whole"] ?? 0) > 0 && (calls["refused"] ?? 0) > 0 },
    { name: `streams: ${outcomes(streams)}`, holds: (streams["whole"] ?? 0) > 0 },
    { name: `sockets: ${outcomes(sockets)}`, holds: (sockets["whole"] ?? 0) > 0 },
    {
      name: `events on what ended whole: ${tally.sent} sent, ${tally.received} received`,
      holds: events && tally.sent > 0,
    },
    { name: `${wrongs.length} wrong ${wrongs.slice(0, 5).join("; ")}`, holds: wrongs.length === 0 },
  ];
}
