/** Brings up a Redis, runs what needs one, and takes it down: `npm run test:redis`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { redisVersion, startRedis } from "./redis-server.ts";

const version = redisVersion();
if (version === undefined) {
  const isCi = (process.env["CI"] ?? "") !== "";
  console.log(
    `${isCi ? "failed" : "skipped"}: no redis-server. Install it (apt-get install redis-server, brew install redis) or name one in REDIS_SERVER.`,
  );
  process.exit(isCi ? 1 : 0);
}
console.log(version);
const redis = await startRedis();
try {
  const root = join(import.meta.dirname, "../..");
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const config = join(import.meta.dirname, "vitest.config.ts");
  const run = spawn(process.execPath, [vitest, "run", "--config", config, ...process.argv.slice(2)], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, KEYWAY_TEST_REDIS: String(redis.port) },
  });
  const [code]: unknown[] = await once(run, "exit");
  process.exitCode = typeof code === "number" ? code : 1;
} finally {
  await redis.close();
}
