import { once } from "node:events";
import { invalidOption } from "@keyway/core";
import type { Store } from "@keyway/core";
import { createRedisStore, ioredisSettings } from "@keyway/redis";
import type { Redis } from "ioredis";
import { codeOf } from "./thrown.ts";

/** A store on Redis with a connection of its own. */
export interface SharedStore {
  readonly store: Store;
  /** Resolves once there is a connection; rejects when the first attempt fails. */
  readonly connected: () => Promise<void>;
  readonly close: () => void;
}

/** Connects to the Redis of `KEYWAY_REDIS_URL`. While it is away the store refuses, and one line says why. The URL is shown nowhere. */
export async function openSharedStore(url: string, namespace: string | undefined): Promise<SharedStore> {
  const { protocol } = URL.canParse(url) ? new URL(url) : { protocol: "" };
  if (protocol !== "redis:" && protocol !== "rediss:")
    throw invalidOption(
      "KEYWAY_REDIS_URL is the URL of a Redis: KEYWAY_REDIS_URL=rediss://:password@redis.internal:6379",
    );
  const Client = await loadClient();
  const client = new Client(url, { ...ioredisSettings });
  let told = false;
  client.on("ready", () => (told = false));
  client.on("error", (error: Error) => {
    if (!told) console.error(`[keyway] Redis is away: ${codeOf(error) ?? error.message.split(" ", 1)[0]}`);
    told = true;
  });
  return {
    store: createRedisStore(namespace === undefined ? { client } : { client, namespace }),
    connected: async () => {
      if (client.status !== "ready") await once(client, "ready");
    },
    close: () => client.disconnect(),
  };
}

async function loadClient(): Promise<typeof Redis> {
  try {
    return (await import("ioredis")).Redis;
  } catch {
    throw invalidOption("KEYWAY_REDIS_URL needs the package ioredis beside this one: npm install @keyway/cli ioredis");
  }
}
