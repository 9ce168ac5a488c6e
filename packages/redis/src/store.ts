import type { Account, Admission, Hold, Outcome, Store } from "@keyway/core";
import { toAdmitted, toBalances, toChange, toOpenJobs, toSettled, toValue } from "./answer.ts";
import { type RedisClient, isPlainToElsewhere } from "./client.ts";
import { createConnection } from "./connection.ts";
import { type WhenDown, standInFor } from "./when-down.ts";

/** Options of {@link createRedisStore}. */
export interface RedisStoreOptions {
  /** A client of ioredis 6 or node-redis 6, connected by the app and closed by the app. */
  readonly client: RedisClient;
  /** Beginning of every key, and its cluster slot: letters, digits, `.`, `_`, `-`. Default `"keyway"`. */
  readonly namespace?: string;
  /** Longest wait for an answer, in milliseconds. Default 250. */
  readonly timeout?: number;
  /** What happens to calls that spend while Redis is away or slow. Default `"refuse"`: never silently let in. */
  readonly whenDown?: WhenDown;
}

/** A stand-in must have answered before Keyway's own time for a store (`timeouts.store`, 250 ms) is over. */
const standInAfter = 150;

/**
 * Keeps rates, open jobs and streams, and money in Redis 6.2 or later, or in Valkey, for apps of more than one process. One round trip per method; Redis's
 * own clock counts. While Redis is away or slow, methods reject and nothing is queued.
 *
 * @example
 * const client = new Redis(process.env.REDIS_URL ?? "redis://127.0.0.1:6379", { ...ioredisSettings });
 * createKeyway({ store: createRedisStore({ client }), ... });
 */
export function createRedisStore(options: RedisStoreOptions): Store {
  const { client, namespace = "keyway", timeout = 250, whenDown = "refuse" } = options;
  checkOptions(client, namespace, timeout);
  if (whenDown === "refuse") return createStore(client, namespace, timeout);
  if (whenDown !== "memory" && whenDown !== "open")
    throw new TypeError('Keyway: whenDown is "refuse", "memory" or "open": whenDown: "memory".');
  return standInFor(createStore(client, namespace, Math.min(timeout, standInAfter)), whenDown);
}

function createStore(client: RedisClient, namespace: string, timeout: number): Store {
  if (isPlainToElsewhere(client))
    console.warn("[keyway] Redis runs on another host and is reached without TLS: use a rediss:// URL");
  const { ask } = createConnection(client, `{${namespace}}:1`, timeout);
  return {
    admit: async (admission) => toAdmitted(await ask("admit", admissionArgs(admission))),
    bind: async (hold, job, note, leaseMs, lists = []) =>
      void (await ask("bind", [hold, job, note, leaseArg(leaseMs), JSON.stringify(lists)])),
    mark: async (job, note, leaseMs, lists) => void (await ask("mark", [job, note, leaseArg(leaseMs), ...lists])),
    listed: async (list, { since, most, first }) =>
      toOpenJobs(await ask("listed", [list, String(since), String(most), first])),
    end: async (job, seconds) => toSettled(await ask("end", [job, Number.isFinite(seconds) ? String(seconds) : ""])),
    settle: async (name, outcome) =>
      toSettled(
        await ask("settle", [
          "job" in name ? "job" : "hold",
          "job" in name ? name.job : name.hold,
          outcomeArg(outcome),
        ]),
      ),
    extend: async (hold, leaseMs, micros) =>
      (await ask("extend", [hold, leaseArg(leaseMs), String(wholeMicros(micros))])) === 1,
    correct: async (job, micros) => toChange(await ask("correct", [job, String(wholeMicros(micros))])),
    balances: async (accounts) => toBalances(await ask("balances", accounts), accounts.length),
    openJobs: async (account, most) => toOpenJobs(await ask("openJobs", [account, String(most)])),
    claim: async (key, leaseMs) => (await ask("claim", [key, leaseArg(leaseMs)])) === 1,
    put: async (key, value, leaseMs) => void (await ask("put", [key, value, leaseArg(leaseMs)])),
    get: async (key) => toValue(await ask("get", [key])),
    remove: async (key) => void (await ask("remove", [key])),
    close: async () => undefined,
  };
}

function checkOptions(client: unknown, namespace: unknown, timeout: unknown): void {
  const isClient = typeof client === "object" && client !== null && ("evalsha" in client || "evalSha" in client);
  if (!isClient)
    throw new TypeError(
      "Keyway: createRedisStore({ client }) takes a client of ioredis or node-redis: client: new Redis(url).",
    );
  if (typeof namespace !== "string" || !/^[A-Za-z0-9._-]{1,100}$/.test(namespace))
    throw new TypeError('Keyway: namespace is 1 to 100 letters, digits, ".", "_" or "-": namespace: "my-app".');
  if (typeof timeout !== "number" || !(timeout > 0) || timeout > 60_000)
    throw new TypeError("Keyway: timeout is a number of milliseconds up to 60,000: timeout: 250.");
}

function admissionArgs({ gate, recall, counters, hold }: Admission): string[] {
  const rates = counters.map(({ key, max, windowMs }) => ({ key, max, windowMs }));
  return [gate, recall ?? "", JSON.stringify(rates), ...(hold === undefined ? ["", "[]", "[]"] : holdArgs(hold))];
}

function holdArgs({ id, micros, perUnit, perSecond, accounts, slots, leaseMs }: Hold): string[] {
  return [
    JSON.stringify({ id, micros: wholeMicros(micros), perUnit, perSecond, leaseMs: Math.ceil(leaseMs) }),
    JSON.stringify(accounts.map(({ key, limit, until }: Account) => ({ key, limit, until }))),
    JSON.stringify(slots.map(({ key, max }) => ({ key, max }))),
  ];
}

function leaseArg(leaseMs: number): string {
  return String(Math.max(1, Math.ceil(leaseMs)));
}

function outcomeArg(outcome: Outcome): string {
  if (outcome === "release") return '{"release":true}';
  const { units, seconds } = outcome;
  return JSON.stringify({
    units: Number.isFinite(units) ? units : undefined,
    seconds: Number.isFinite(seconds) ? seconds : undefined,
  });
}

function wholeMicros(micros: number): number {
  if (Number.isNaN(micros)) throw new TypeError("Keyway: an amount of money is not a number.");
  return Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(micros));
}
