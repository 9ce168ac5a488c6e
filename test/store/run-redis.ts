/** Brings up a Redis, runs what needs one, and takes it down; then the store's suite on Valkey where there is one: `npm run test:redis`. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { redisVersion, startServer } from "./redis-server.ts";

const version = redisVersion();
if (version === undefined) {
  const isCi = (process.env["CI"] ?? "") !== "";
  console.log(
    `${isCi ? "failed" : "skipped"}: no redis-server. Install it (apt-get install redis-server, brew install redis) or name one in REDIS_SERVER.`,
  );
  process.exit(isCi ? 1 : 0);
}
await run(version, process.env["REDIS_SERVER"] ?? "redis-server", process.argv.slice(2));

const valkey = redisVersion("valkey-server");
if (valkey === undefined) console.log("skipped: no valkey-server, so the stores were not tried on Valkey");
else if (process.exitCode === 0) await run(valkey, "valkey-server", ["test/store/redis.redis.ts"]);

/** One server, and the tests on it. */
async function run(what: string, program: string, more: readonly string[]): Promise<void> {
  console.log(what);
  const redis = await startServer(program);
  try {
    const root = join(import.meta.dirname, "../..");
    const vitest = join(root, "node_modules/vitest/vitest.mjs");
    const config = join(import.meta.dirname, "vitest.config.ts");
    const tests = spawn(process.execPath, [vitest, "run", "--config", config, ...more], {
      cwd: root,
      stdio: "inherit",
      env: { ...process.env, REDIS_SERVER: program, KEYWAY_TEST_REDIS: String(redis.port) },
    });
    const [code]: unknown[] = await once(tests, "exit");
    process.exitCode = typeof code === "number" ? code : 1;
  } finally {
    await redis.close();
  }
}
