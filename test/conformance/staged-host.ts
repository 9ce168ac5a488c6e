import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import type { Keyway, KeywayOptions } from "@keyway/core";
import { attach } from "@keyway/node";
import { stagedAs } from "../fixtures/staged.ts";
import { listenOnFreePort } from "../upstream.ts";
import { type Mounted, listen, mountPath } from "./mount.ts";

export type Listener = (request: IncomingMessage, response: ServerResponse) => unknown;

/**
 * Mounts options in a framework's app that is built once and runs in this process: each mount is a server of its own, and the app
 * learns from the async context which mount a request belongs to. So options may hold functions, as an app's own do.
 */
export function createStagedHost(
  app: string,
  start: () => Promise<Listener>,
  path = mountPath,
): (options: KeywayOptions) => Promise<Mounted> {
  const staged = stagedAs(app);
  let started: Promise<Listener> | undefined;
  return async (options) => {
    const handle = await (started ??= start().then((handle) => loadRoute(handle, path)));
    if (staged.create === undefined) throw new Error(`${app} did not load its route`);
    const mount = staged.create(options);
    const server = createServer((request, response) => void staged.current.run(mount, () => handle(request, response)));
    const held = mount.held as Keyway;
    const sockets = attach(server, held);
    const close = async (): Promise<unknown> => {
      await held.close();
      return sockets.close();
    };
    return { ...(await listen(server, { upgrade: sockets.upgrade, close })), held };
  };
}

/** Frameworks load a route with its first request. */
async function loadRoute(handle: Listener, path: string): Promise<Listener> {
  const server = createServer(handle as RequestListener);
  const port = await listenOnFreePort(server);
  await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
  await new Promise((resolve) => server.close(resolve));
  return handle;
}
