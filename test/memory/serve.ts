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
}

// A process of its own: a mount by name in front of an upstream, which tells how much memory it came to hold.
const [name = "", upstream = ""] = process.argv.slice(2);
const mount = mounts.find((candidate) => candidate.name === name);
if (mount === undefined) throw new Error(`there is no mount ${name}`);
const mounted = await mount.startMount({
  authorize: () => ({ id: "ada" }),
  endpoints: "any",
  maxBodyBytes: 1024 ** 3,
  upstream: { url: upstream, key: "memory" },
});

let base = 0;
let peak = 0;
function sample(): void {
  peak = Math.max(peak, process.memoryUsage.rss());
}
setInterval(sample, 10);

function report(message: Report): void {
  process.send?.(message);
}

process.on("message", ({ block }: Question) => {
  if (block > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, block);
  sample();
  report({ grown: peak - base });
  globalThis.gc?.();
  base = process.memoryUsage.rss();
  peak = base;
});
process.on("disconnect", () => process.exit());
report({ url: mounted.url });
