import { GCProfiler, type GCProfilerResult } from "node:v8";
import { mounts } from "../conformance/mounts/all.ts";

/** What the process under measurement is asked: to stand still for so many milliseconds, and then to report. */
export interface Question {
  readonly block: number;
}

/** What it answers. */
export interface Report {
  readonly url?: string;
  /** Largest growth of resident memory since the last question, in bytes. */
  readonly grown?: number;
  /** Of what lay in V8's young generation since then, the share that outlived a quick collection. */
  readonly survived?: number;
}

type HeapStatistics = GCProfilerResult["statistics"][number]["beforeGC"];

// A process of its own: a mount by name in front of an upstream, which tells how much memory it came to hold.
const [name = "", upstream = ""] = process.argv.slice(2);
const mount = mounts.find((candidate) => candidate.name === name);
if (mount === undefined) throw new Error(`there is no mount ${name}`);
// Thousands of calls a minute are measured.
const many = { max: 1e9, per: "minute" } as const;
const mounted = await mount.startMount({
  authorize: () => ({ id: "ada" }),
  endpoints: "any",
  limits: { caller: { requests: many, jobs: 1e9, streams: 1e9 }, global: { requests: many }, pollsPerSecond: 1e9 },
  maxBodyBytes: 1024 ** 3,
  upstream: { url: upstream, key: "memory" },
});

let base = 0;
let peak = 0;
function sample(): void {
  peak = Math.max(peak, process.memoryUsage.rss());
}
setInterval(sample, 10);

let profiler = startProfiler();

function startProfiler(): GCProfiler {
  const started = new GCProfiler();
  started.start();
  return started;
}

/** What quick collections found in V8's young generation, and how much of it they left there or moved to the old one. */
function survived(): number {
  let found = 0;
  let left = 0;
  for (const { gcType, beforeGC, afterGC } of profiler.stop().statistics) {
    if (gcType !== "Scavenge") continue;
    found += used(beforeGC, "new_space");
    left += used(afterGC, "new_space") + used(afterGC, "old_space") - used(beforeGC, "old_space");
  }
  return left / found;
}

function used({ heapSpaceStatistics }: HeapStatistics, space: string): number {
  return heapSpaceStatistics.find(({ spaceName }) => spaceName === space)?.spaceUsedSize ?? 0;
}

function report(message: Report): void {
  process.send?.(message);
}

process.on("message", ({ block }: Question) => {
  if (block > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  sample();
  report({ grown: peak - base, survived: survived() });
  globalThis.gc?.();
  profiler = startProfiler();
  base = process.memoryUsage.rss();
  peak = base;
});
process.on("disconnect", () => process.exit());
report({ url: mounted.url });
