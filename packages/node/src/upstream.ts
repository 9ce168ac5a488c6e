import { Pool } from "undici";

/** Connections to fal.ai, one unlimited pool per origin: a cap would make open streams wait for each other. */
export interface Upstreams {
  pool(origin: string, connectTimeout: number): Pool;
  close(): Promise<void>;
}

export function createUpstreams(): Upstreams {
  const pools = new Map<string, Pool>();
  return {
    pool(origin, connectTimeout) {
      let pool = pools.get(origin);
      if (pool === undefined) {
        pool = new Pool(origin, {
          connections: null,
          pipelining: 1,
          allowH2: false,
          connect: { timeout: connectTimeout, rejectUnauthorized: true },
        });
        pools.set(origin, pool);
      }
      return pool;
    },
    async close() {
      await Promise.all([...pools.values()].map((pool) => pool.destroy()));
      pools.clear();
    },
  };
}
