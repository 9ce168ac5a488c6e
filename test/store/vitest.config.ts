import { defineConfig } from "vitest/config";

/** What needs a Redis of its own: `npm run test:redis` brings one up. */
export default defineConfig({
  root: new URL("../..", import.meta.url).pathname,
  ssr: { resolve: { conditions: ["@keyway/source"] } },
  test: {
    include: ["test/store/*.redis.ts"],
    testTimeout: 30_000,
    hookTimeout: 20_000,
    fileParallelism: false,
  },
});
