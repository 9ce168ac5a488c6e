import { randomBytes } from "node:crypto";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { vi } from "vitest";
import type { KeywayOptions, ObserveEvent } from "@keyway/core";
import { byName } from "../conformance/stage.ts";
import type { Mount, Mounted } from "../conformance/mount.ts";
import { type Upstream, startUpstream } from "../upstream.ts";
import { type Line, openLine } from "./caller.ts";
import { type Authority, createAuthority } from "./certificates.ts";
import { type FalHosts, redirectFalHosts } from "./fal-hosts.ts";
import { type Watch, watchFor } from "./watch.ts";

export const falHosts = ["fal.run", "queue.fal.run", "rest.fal.ai"] as const;

/** What all attacks of one process share: a hostile fal.ai over TLS under fal's own names, a key, and a watch over both. */
export interface Ground {
  readonly authority: Authority;
  readonly hosts: FalHosts;
  readonly upstream: Upstream;
  readonly key: string;
  readonly watch: Watch;
  /** What the operator read, `observe` among it. */
  readonly log: readonly string[];
  /** Exceptions that nobody caught, and rejections. */
  readonly deaths: readonly unknown[];
  close(): Promise<void>;
}

/** Brings up upstream, trust, environment and ears. */
export async function prepareGround(): Promise<Ground> {
  const authority = createAuthority();
  const hosts = redirectFalHosts(authority.cert);
  const upstream = await startUpstream(authority.issue(falHosts));
  for (const host of falHosts) hosts.lead(host, upstream.port);
  const key = `${crypto.randomUUID()}:${randomBytes(16).toString("hex")}`;
  const before = { key: process.env["FAL_KEY"], upstream: process.env["KEYWAY_UPSTREAM"] };
  process.env["FAL_KEY"] = key;
  delete process.env["KEYWAY_UPSTREAM"];
  const log: string[] = [];
  const write = (...parts: unknown[]): void =>
    void log.push(parts.map((part) => (typeof part === "string" ? part : inspect(part))).join(" "));
  const spies = (["error", "warn", "info", "log", "debug"] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation(write),
  );
  const deaths: unknown[] = [];
  const bury = (death: unknown): void => void deaths.push(death);
  process.on("uncaughtException", bury).on("unhandledRejection", bury);
  return {
    authority,
    hosts,
    upstream,
    key,
    watch: watchFor(key),
    log,
    deaths,
    async close() {
      for (const spy of spies) spy.mockRestore();
      process.off("uncaughtException", bury).off("unhandledRejection", bury);
      hosts.restore();
      setVariable("FAL_KEY", before.key);
      setVariable("KEYWAY_UPSTREAM", before.upstream);
      await upstream.close();
    },
  };
}

/** A mount under attack. */
export interface Field {
  readonly ground: Ground;
  readonly mount: Mount;
  readonly mounted: Mounted;
  readonly port: number;
  readonly events: readonly ObserveEvent[];
  /** A new connection of a caller. */
  line(method?: string): Promise<Line>;
}

/** What may be called unless a row says otherwise. Everything else is Keyway's default. */
export const open: KeywayOptions = { authorize: byName, endpoints: ["demo/**", "fal-ai/**"] };

export async function startField(ground: Ground, mount: Mount, options: Partial<KeywayOptions> = {}): Promise<Field> {
  const events: ObserveEvent[] = [];
  const observe = (event: ObserveEvent): void => {
    events.push(event);
    (ground.log as string[]).push(inspect(event));
  };
  const mounted = await mount.startMount({ ...open, observe, namespace: crypto.randomUUID(), ...options });
  const { port } = mounted.server.address() as AddressInfo;
  const { watch } = ground;
  return {
    ground,
    mount,
    mounted,
    port,
    events,
    line: (method) => openLine(port, (bytes) => watch.look(bytes), method),
  };
}

export function setVariable(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
