import type { ChildProcess } from "node:child_process";
import { startNginx } from "./nginx.ts";
import { ask, cores, startModule } from "./processes.ts";

export type Workload =
  | "get"
  | "one"
  | "post"
  | "megabyte"
  | "tls"
  | "events"
  | "sockets"
  | "later"
  | "down"
  | "up"
  | "idle sockets"
  | "idle events";

/** A proxy that is measured, or upstream itself. */
export interface Peer {
  readonly name: string;
  /** How targets are named: in the path, or by header at one URL. */
  readonly form: "path" | "header";
  /** Where path form begins. */
  readonly prefix: string;
  /** One of ours: its gates must hold, and its job ids are sealed. */
  readonly ours: boolean;
  readonly skips: readonly Workload[];
  /** Set where streams go on after their callers have left: only its first ones can be measured. */
  readonly lingers?: true;
  readonly start: (upstream: string, ca: string) => Promise<Running>;
}

/** A peer's process. */
export interface Running {
  readonly url: string;
  readonly pid: number;
  /** Collects garbage where there is some. */
  readonly collect: (how: "garbage" | "all") => Promise<void>;
  readonly stop: () => Promise<void>;
}

const noSockets: readonly Workload[] = ["sockets", "idle sockets"];
const webOnly: readonly Workload[] = [...noSockets, "idle events"];

export const peers: readonly Peer[] = [
  {
    name: "no proxy",
    form: "path",
    prefix: "",
    ours: false,
    skips: ["get", "post", "megabyte", "later", "tls", "down", "up", "idle sockets", "idle events"],
    start: (upstream) =>
      Promise.resolve({ url: upstream, pid: 0, collect: () => Promise.resolve(), stop: () => Promise.resolve() }),
  },
  {
    name: "nginx",
    form: "path",
    prefix: "",
    ours: false,
    skips: [],
    async start(upstream) {
      const { url, pid, stop } = await startNginx(upstream);
      return { url, pid, collect: () => Promise.resolve(), stop: () => Promise.resolve(stop()) };
    },
  },
  ours("keyway express", "express 5", []),
  ours("keyway node", "node", []),
  ours("keyway sveltekit", "sveltekit", webOnly),
  ours(
    "keyway sveltekit, on fetch",
    "sveltekit",
    [...webOnly, "events", "one", "tls", "megabyte", "later", "down", "up"],
    "fetch",
  ),
  ours("keyway next", "next-app", webOnly),
  module("express and undici by hand", "servers/by-hand.ts", "path", noSockets),
  {
    ...module("official (express)", "servers/official.ts", "header", [...noSockets, "later", "up", "tls"]),
    lingers: true,
  },
  module("http-proxy-middleware", "servers/http-proxy-middleware.ts", "path", []),
  module("fastify reply-from", "servers/reply-from.ts", "path", noSockets),
];

function ours(name: string, mount: string, skips: readonly Workload[], sender = ""): Peer {
  return {
    name,
    form: "header",
    prefix: "/api/fal/proxy",
    ours: true,
    skips,
    start: (upstream, ca) => startChild("servers/keyway.ts", [mount, upstream, sender], ca),
  };
}

function module(name: string, file: string, form: Peer["form"], skips: readonly Workload[]): Peer {
  return { name, form, prefix: "", ours: false, skips, start: (upstream, ca) => startChild(file, [upstream], ca) };
}

async function startChild(file: string, args: readonly string[], ca: string): Promise<Running> {
  const { child, said: url } = await startModule<string>(file, args, cores.proxy, { NODE_EXTRA_CA_CERTS: ca });
  return {
    url,
    pid: child.pid ?? 0,
    collect: async (how) => void (await ask(child, how)),
    stop: () => end(child),
  };
}

function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
