export { type RedisStoreOptions, createRedisStore } from "./store.ts";
export type { IoredisClient, NodeRedisClient, RedisClient } from "./client.ts";
