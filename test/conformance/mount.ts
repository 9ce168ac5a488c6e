import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { KeywayOptions } from "@keyway/core";
import { listenOnFreePort } from "../upstream.ts";

/** A way to mount Keyway in a server. The suite is the same for all of them. */
export interface Mount {
  readonly name: string;
  /** `node` passes compressed answers untouched and drains; `web` does what fetch does. */
  readonly transport: "node" | "web";
  /** Why there are no WebSockets, where there are none. */
  readonly noSockets?: string;
  readonly startMount: (options: KeywayOptions) => Promise<Mounted>;
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
