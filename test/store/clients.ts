import { Redis } from "ioredis";
import { createClient } from "redis";
import { type RedisClient, ioredisSettings, nodeRedisSettings } from "@keyway/redis";

export type ClientName = "ioredis" | "node-redis";
export const clientNames: readonly ClientName[] = ["ioredis", "node-redis"];

/** A client as an app makes it, and how the app ends it. */
export interface OpenClient {
  readonly client: RedisClient;
  readonly close: () => void;
}

/** Connects with the settings that the store asks for. Does not wait for the connection. */
export function openClient(name: ClientName, port: number, password?: string): OpenClient {
  const url = `redis://${password === undefined ? "" : `:${password}@`}127.0.0.1:${port}`;
  if (name === "ioredis") {
    const client = new Redis(url, { ...ioredisSettings });
    client.on("error", () => undefined);
    return { client, close: () => client.disconnect() };
  }
  const client = createClient({ url, ...nodeRedisSettings });
  client.on("error", () => undefined);
  client.connect().catch(() => undefined);
  return { client, close: () => client.destroy() };
}

/** The port of the Redis that `npm run test:redis` brought up. */
export function sharedRedis(): number {
  const port = Number(process.env["KEYWAY_TEST_REDIS"]);
  if (!Number.isInteger(port)) throw new Error("run npm run test:redis");
  return port;
}

export function freshNamespace(): string {
  return `test-${crypto.randomUUID()}`;
}
