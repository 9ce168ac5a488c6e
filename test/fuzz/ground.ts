import { fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { watchFor } from "../security/watch.ts";
import { type Arrival, type Upstream, startUpstream } from "../upstream.ts";

/** A proxy in a process of its own, an upstream that looks at everything that reaches it, and a watch for the key. */
export interface Ground {
  readonly upstream: Upstream;
  /** Ports of the doors: node, web. */
  readonly ports: readonly [number, number];
  look(this: void, bytes: Buffer): void;
  /** What reached upstream and should not have, since the last question; what made the process die. */
  wrongs(): string[];
  close(): Promise<{
    readonly died: boolean;
    readonly log: string;
    readonly keyBytes: number;
    readonly looked: number;
  }>;
}

export async function startGround(): Promise<Ground> {
  const key = `${crypto.randomUUID()}:${randomBytes(16).toString("hex")}`;
  const watch = watchFor(key);
  const upstream = await startUpstream();
  const child = fork(join(import.meta.dirname, "host.ts"), [upstream.url, key], {
    execArgv: ["--conditions=@keyway/source", "--no-warnings"],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (text) => (log += String(text)));
  const [ports] = (await once(child, "message")) as [[number, number]];
  const isAlive = (): boolean => child.exitCode === null && child.signalCode === null;
  const arrivals = upstream.arrivals as Arrival[];
  return {
    upstream,
    ports,
    look: (bytes) => watch.look(bytes),
    wrongs() {
      const wrongs = arrivals.splice(0).flatMap((arrival) => problemOf(arrival, key, (text) => watch.count(text)));
      return isAlive() ? wrongs : [...wrongs, "the process died"];
    },
    async close() {
      const died = !isAlive();
      if (!died) {
        const gone = once(child, "exit");
        child.kill("SIGKILL");
        await gone;
      }
      await upstream.close();
      return { died, log, keyBytes: watch.sightings + watch.count(log), looked: watch.looked };
    },
  };
}

/** What no request that reached upstream may be, whatever was sent to the proxy. */
function problemOf({ url, values, headers, method }: Arrival, key: string, count: (text: string) => number): string[] {
  const wrongs: string[] = [];
  if (values("authorization").join() !== `Key ${key}`) wrongs.push("without the key, or with another");
  if (!/^\/(?:fal\.run|queue\.fal\.run)\/demo\/[^/]|^\/rest\.fal\.ai\/(?:tokens|storage)\//.test(url))
    wrongs.push("not on the list");
  if (/\/\.{1,2}(?:\/|$)|%2e|%2f|\\|;/i.test(url.split("?")[0] ?? "")) wrongs.push("a path that means another");
  if (count(url) > 0) wrongs.push("the key in its URL");
  const others = headers.filter(([name]) => name.toLowerCase() !== "authorization").flat();
  if (count(others.join("\n")) > 0) wrongs.push("the key in another header");
  if (headers.some(([name]) => /^(?:cookie|x-fal-target-url|origin|forwarded)$/i.test(name)))
    wrongs.push("a header that must not cross");
  return wrongs.map((wrong) => `${method} ${url} reached upstream: ${wrong}`);
}
