// Makes a fresh clone ready: installs what the lock file names, then builds what changed. Runs on Node 20 and later.
// What takes long and few need is built when it is named: node setup.mjs @keyway-examples/nextjs
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
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", TURBO_TELEMETRY_DISABLED: "1" },
  });
  if (error) console.error(`setup: ${command} could not be started: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
}

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error");
}
const wanted = ["./packages/*", "@keyway-examples/express", ...process.argv.slice(2)].map((name) => `--filter=${name}`);
run(
  join(root, "node_modules", ".bin", "turbo"),
  "run",
  "build",
  ...wanted,
  "--output-logs=errors-only",
  "--log-order=grouped",
);
