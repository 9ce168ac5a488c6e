/**
 * `npm run test:soak`: streams, sockets and calls on one proxy for minutes, with callers that leave, an upstream that fails and a Redis
 * that restarts. Options: `--long` (30 minutes, 1,000 + 1,000), `--minutes <n>`, `--seed <n>`, `--report <file>`, `--plant-leak`.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { redisVersion } from "../store/redis-server.ts";
import type { Bounds } from "./figures.ts";
import { soak } from "./soak.ts";

const { values } = parseArgs({
  options: {
    long: { type: "boolean", default: false },
    minutes: { type: "string" },
    seed: { type: "string" },
    report: { type: "string" },
    "plant-leak": { type: "boolean", default: false },
  },
});

/** As the goals say for half an hour. */
const longBounds: Bounds = { from: 5, heapSlope: 0.5, rssSlope: 1, drift: 0.1 };
/** A short run is still warming up, and a sample weighs more: its bounds find what leaks a kilobyte per call, no less. */
const shortBounds: Bounds = { from: 1, heapSlope: 1.5, rssSlope: 12, drift: 0.15 };

if (redisVersion() === undefined) {
  console.log("failed: no redis-server. Install it (apt-get install redis-server) or name one in REDIS_SERVER.");
  process.exit(1);
}
const minutes = Number(values.minutes ?? (values.long ? 30 : 3));
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const each = values.long ? 1000 : 200;
const title = `soak: ${minutes} min, ${each} streams + ${each} sockets, 50 calls/s, seed ${seed}`;
console.log(title);
const checks = await soak({
  minutes,
  seed,
  each,
  bounds: minutes >= 15 ? longBounds : { ...shortBounds, from: minutes / 3 },
  leaks: values["plant-leak"],
});
for (const { name, holds } of checks) console.log(`${holds ? "ok    " : "FAILED"}  ${name}`);
const failed = checks.filter(({ holds }) => !holds).length;
if (values.report !== undefined) {
  const figures = [title, ...checks.map(({ name, holds }) => `  ${holds ? "" : "FAILED: "}${name}`)];
  const counts = { numPassedTests: checks.length - failed, numFailedTests: failed };
  writeFileSync(values.report, JSON.stringify({ ...counts, figures }));
}
process.exit(failed === 0 ? 0 : 1);
