export { type RedisStoreOptions, createRedisStore } from "./store.ts";
export type { WhenDown } from "./when-down.ts";
export type { IoredisClient, NodeRedisClient, RedisClient } from "./client.ts";
export { type IoredisSettings, type NodeRedisSettings, ioredisSettings, nodeRedisSettings } from "./settings.ts";
