import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, totalmem, type as system, release } from "node:os";
import { nginxVersion } from "./nginx.ts";
import { pinned } from "./processes.ts";

/** What it ran on, line by line. */
export function describeMachine(): string[] {
  const load = readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 2).join(" and ");
  const packages = [
    "express",
    "@fal-ai/server-proxy",
    "http-proxy-middleware",
    "fastify",
    "@fastify/reply-from",
    "undici",
  ];
  return [
    `${cpus()[0]?.model.trim() ?? "unknown CPU"}, ${cpus().length} cores, ${Math.round(totalmem() / 1024 ** 3)} GB, ${system()} ${release().split("-")[0]}`,
    pinned
      ? "each proxy on core 0, load and upstream on core 1"
      : "processes are not tied to cores: taskset is missing, or there is one core",
    `load average at the start, over 1 and 5 minutes: ${load}`,
    `Node ${process.version}, nginx ${nginxVersion() ?? "not installed"}, ${packages.map((name) => `${name} ${versionOf(name)}`).join(", ")}`,
  ];
}

function versionOf(name: string): string {
  const require = createRequire(import.meta.url);
  for (const folder of require.resolve.paths(name) ?? []) {
    try {
      return (JSON.parse(readFileSync(`${folder}/${name}/package.json`, "utf8")) as { version: string }).version;
    } catch {
      // It lies in another of the folders.
    }
  }
  return "unknown";
}
