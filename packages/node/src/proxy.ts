import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type Keyway, type KeywayOptions, toKeyway } from "@keyway/core";
import { type Attachable, type Carrier, attachEverywhere, attachTo } from "./attach.ts";
import { type HandleContext, handleRequest, handleWebhook } from "./http.ts";
import { digests } from "./digests.ts";
import { createOpenCalls } from "./open-calls.ts";
import type { Runtime } from "./runtime.ts";
import { handleUpgrade, isAddressed } from "./upgrade.ts";
import { createUpstreams } from "./upstream.ts";

/** How a drain went: calls that came to their end, and calls that were cut off. */
export interface Drained {
  readonly finished: number;
  readonly cut: number;
}

/** The proxy on Node's own request and response. */
export interface NodeProxy {
  /** Answers one request, at any mount path. Never rejects. */
  readonly handle: (req: IncomingMessage, res: ServerResponse, context?: HandleContext) => Promise<void>;
  /** Answers webhook deliveries of fal's (option `webhooks`), at any path: give it the raw body, unread. Never rejects. */
  readonly webhook: (req: IncomingMessage, res: ServerResponse, context?: HandleContext) => Promise<void>;
  /**
   * For `server.on("upgrade", proxy.upgrade)`. What is not addressed to the proxy is left to other listeners, or answered 404 when there are
   * none. Who knows the mount path and that this is below it says so, as with `handle`.
   */
  readonly upgrade: (
    req: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    context?: Pick<HandleContext, "mount">,
  ) => void;
  /**
   * In place of `server.on("upgrade", …)`: takes the upgrades addressed to the proxy before any other listener sees them, and closes
   * its sockets with 1001 when the server closes.
   */
  readonly attach: (server: Attachable) => void;
  /** Refuses new calls, waits for open ones (option `timeouts.drain`), cuts the rest off, closes the connections. */
  readonly close: () => Promise<Drained>;
}

/**
 * Makes the proxy for plain Node servers; frameworks' doors are made of it.
 *
 * @example
 * const proxy = createNodeProxy({ authorize, endpoints: ["fal-ai/**"] });
 * const server = createServer((req, res) => proxy.handle(req, res));
 * server.on("upgrade", proxy.upgrade);
 */
export function createNodeProxy(input: Keyway | KeywayOptions): NodeProxy {
  return createProxy(input).proxy;
}

/**
 * Answers WebSockets on a server by its own `upgrade` event, ahead of all other listeners; a framework's HTTP door beside it answers the
 * rest. Attaching again, or a newer instance with the same `publicUrl`, takes the place of the older one: an upgrade is answered once.
 * When the server closes, its sockets are closed with 1001.
 *
 * @example
 * const server = createServer(nextRequestHandler);
 * attach(server, keyway);
 */
export function attach(server: Attachable, input: Keyway | KeywayOptions): NodeProxy {
  const proxy = createNodeProxy(input);
  proxy.attach(server);
  return proxy;
}

/**
 * As {@link attach}, for every HTTP server of this process, from each one's next connection on: for frameworks that make the server
 * themselves. Where the proxy is mounted at the root, state `publicUrl`.
 *
 * @example
 * // instrumentation.ts of Next.js
 * export async function register() {
 *   if (process.env.NEXT_RUNTIME === "nodejs") await import("./instrumentation-node");
 * }
 * // instrumentation-node.ts
 * attachToServers(keyway);
 */
export function attachToServers(input: Keyway | KeywayOptions): NodeProxy {
  const { proxy, carrier } = createProxy(input);
  attachEverywhere(carrier);
  return proxy;
}

function createProxy(input: Keyway | KeywayOptions): { proxy: NodeProxy; carrier: Carrier } {
  const keyway = toKeyway(input);
  keyway.transport.useDigests(digests);
  const { log } = keyway.transport;
  const runtime: Runtime = {
    keyway,
    upstreams: createUpstreams(),
    open: createOpenCalls(),
    deciding: 0,
    closing: false,
    closed: false,
    waitUntil(work) {
      work.catch((cause: unknown) => log.error("work after an answer failed", cause));
    },
  };
  let drained: Promise<Drained> | undefined;
  const upgrade: NodeProxy["upgrade"] = (req, socket, head, { mount } = {}) => {
    handleUpgrade(req, socket, head, mount, runtime).catch((cause: unknown) => {
      log.error("an upgrade failed", cause);
      socket.destroy();
    });
  };
  const carrier: Carrier = {
    path: keyway.transport.publicPath,
    patience: keyway.transport.timeouts.handshake,
    takes: (req) => isAddressed(req, runtime),
    upgrade,
    drain(server) {
      for (const entry of runtime.open) if (entry.server === server) entry.drain?.();
    },
  };
  const proxy: NodeProxy = {
    handle: (req, res, context = {}) => handleRequest(req, res, context, runtime),
    webhook: (req, res, context = {}) => handleWebhook(req, res, context, runtime),
    upgrade,
    attach: (server) => attachTo(server, carrier),
    close: () => (drained ??= drain(runtime)),
  };
  return { proxy, carrier };
}

async function drain(runtime: Runtime): Promise<Drained> {
  runtime.closing = true;
  const underWay = (): number => runtime.open.size + runtime.deciding;
  const open = underWay();
  const until = Date.now() + runtime.keyway.transport.timeouts.drain;
  for (const entry of runtime.open) entry.drain?.();
  while (underWay() > 0 && Date.now() < until) await pause(20);
  runtime.closed = true;
  const cut = underWay();
  for (const entry of runtime.open) entry.cut();
  await runtime.upstreams.close();
  return { finished: open - cut, cut };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
