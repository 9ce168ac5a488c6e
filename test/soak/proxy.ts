/** The proxy under load, in a process of its own that tells how it fares. Started by {@link ./run.ts} with `--expose-gc`. */
import { readdirSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { createNodeProxy } from "@keyway/node";
import { createRedisStore } from "@keyway/redis";
import { openClient } from "../store/clients.ts";

/** What the process is told when it starts. */
export interface Start {
  readonly upstream: { readonly url: string; readonly key: string };
  readonly redis: number;
  readonly namespace: string;
  /** Keeps every request for ever, so that one can see that the run notices. */
  readonly leaks: boolean;
}

/** One look at the process. */
export interface Sample {
  readonly rss: number;
  /** Of JavaScript's heap, in bytes; behind a collection when that was asked for. */
  readonly heapUsed: number;
  /** How many of each kind keep the process alive (`Timeout`, `TCPSocketWrap` and so on), and `descriptors`. */
  readonly resources: Readonly<Record<string, number>>;
  /** Exceptions and rejections that nobody caught, and warnings such as too many listeners. */
  readonly mishaps: readonly string[];
  /** How often the app was told of a job's result, and of how many jobs. */
  readonly told: { readonly times: number; readonly jobs: number };
}

export type Told = { readonly port: number } | Sample;

const { upstream, redis, namespace, leaks }: Start = JSON.parse(process.argv[2] ?? "{}");
const mishaps: string[] = [];
for (const event of ["uncaughtException", "unhandledRejection", "warning"] as const)
  process.on(event, (what: unknown) => void mishaps.push(`${event}: ${String(what)}`));

let times = 0;
const jobs = new Set<string>();
const { client } = openClient("ioredis", redis);
const proxy = createNodeProxy({
  authorize: ({ headers }) => ({ id: headers.get("authorization") ?? "nobody" }),
  endpoints: ["demo/**"],
  publicUrl: "http://localhost/api/fal/proxy",
  store: createRedisStore({ client, namespace, timeout: 2000 }),
  upstream,
  secret: "a secret of the soak run",
  webhooks: {
    url: "https://app.example/api/fal/webhook",
    onResult({ falRequestId }) {
      times += 1;
      jobs.add(falRequestId);
    },
  },
  // Leases are renewed several times in a run, also while Redis is away. A busy machine is not what is looked for.
  timeouts: { openLease: 30_000, store: 2000 },
});
const kept: IncomingMessage[] = [];
const server = createServer((request, response) => {
  if (leaks) kept.push(request);
  if (request.url?.startsWith("/api/fal/webhook") === true) void proxy.webhook(request, response);
  else void proxy.handle(request, response);
});
server
  .on("upgrade", proxy.upgrade)
  .listen(0, "127.0.0.1", () => tell({ port: (server.address() as AddressInfo).port }));

/** Open files and sockets, also those that would not keep the process alive. 0 where the system does not tell. */
function countDescriptors(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}

function tell(told: Told): void {
  process.send?.(told);
}

process.on("message", (question: "look" | "collect and look") => {
  if (question === "collect and look") globalThis.gc?.();
  const { rss, heapUsed } = process.memoryUsage();
  const resources: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
  resources["descriptors"] = countDescriptors();
  tell({ rss, heapUsed, resources, mishaps, told: { times, jobs: jobs.size } });
});
process.on("disconnect", () => process.exit(0));
