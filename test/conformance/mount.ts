import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { KeywayOptions } from "@keyway/core";
import type { TestContext } from "vitest";
import { listenOnFreePort } from "../upstream.ts";

/** A way to mount Keyway in a server. The suite is the same for all of them. */
export interface Mount {
  readonly name: string;
  /** `node` passes compressed answers untouched and drains; `web` does what fetch does. */
  readonly transport: "node" | "web";
  /** Why there are no WebSockets, where there are none. */
  readonly noSockets?: string;
  /** What its framework does to calls and answers before the proxy or after it: why, and what to do about it. */
  readonly limits?: Readonly<Partial<Record<Limit, string>>>;
  /** What its framework answers before the proxy is asked, by group and row of the attack suite. None of it reaches upstream. */
  readonly answersItself?: Readonly<Record<string, number | "closed">>;
  readonly startMount: (options: KeywayOptions) => Promise<Mounted>;
}

/** What differs between frameworks, beyond what a proxy inside them can do. */
export type Limit =
  | "answer length"
  | "peer address"
  | "double slash"
  | "query spelling"
  | "draining"
  | "last connection";

declare module "vitest" {
  interface TaskMeta {
    /** The limit that was met: the table shows it in place of a tick. */
    limit?: Limit;
  }
}

/** Whether this mount has a limit; the table then says that the behaviour met it. */
export function isLimited(mount: Mount, limit: Limit, { task }: TestContext): boolean {
  if (mount.limits?.[limit] === undefined) return false;
  task.meta.limit = limit;
  return true;
}

/** A running mount. */
export interface Mounted {
  /** The proxy's own URL: `http://127.0.0.1:<port>/api/fal/proxy`. */
  readonly url: string;
  readonly server: Server;
  readonly upgrade?: Upgrade;
  /** What an app holds in its hands: must not show the key. */
  readonly held: unknown;
  /** Drains the proxy, then stops the server. */
  readonly close: () => Promise<unknown>;
}

type Upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

export const mountPath = "/api/fal/proxy";

/** Listens on a free port and ties proxy and server together. */
export async function listen(
  server: Server,
  proxy: { readonly upgrade?: Upgrade; close(): Promise<unknown> },
): Promise<Mounted> {
  const port = await listenOnFreePort(server);
  return {
    url: `http://127.0.0.1:${port}${mountPath}`,
    server,
    ...(proxy.upgrade === undefined ? {} : { upgrade: proxy.upgrade }),
    held: proxy,
    async close() {
      const drained = await proxy.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
      return drained;
    },
  };
}
