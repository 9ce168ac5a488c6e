// Makes a fresh clone ready: installs what the lock file names, then builds what changed. Runs on Node 20 and later.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";

const root = import.meta.dirname;
const lock = join(root, "package-lock.json");
const installed = join(root, "node_modules", ".package-lock.json");

function run(command, ...args) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
    shell: process.platform === "win32",
    env: { ...process.env, TURBO_TELEMETRY_DISABLED: "1" },
  });
  if (error) console.error(`setup: ${command} could not be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
}
run(join(root, "node_modules", ".bin", "turbo"), "run", "build", "--output-logs=errors-only", "--log-order=grouped");
