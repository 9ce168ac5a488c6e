import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type Keyway, type KeywayOptions, toKeyway } from "@keyway/core";
import { type HandleContext, type Runtime, handleRequest } from "./http.ts";
import { hmac } from "./hmac.ts";
import { handleUpgrade } from "./upgrade.ts";
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
  /** For `server.on("upgrade", proxy.upgrade)`. What is not addressed to the proxy is left to other listeners, or answered 404 when there are none. */
  readonly upgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
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
  const keyway = toKeyway(input);
  keyway.transport.useHmac(hmac);
  const runtime: Runtime = { keyway, upstreams: createUpstreams(), open: new Set(), closing: false };
  let drained: Promise<Drained> | undefined;
  return {
    handle: (req, res, context = {}) => handleRequest(req, res, context, runtime),
    upgrade: (req, socket, head) => {
      handleUpgrade(req, socket, head, runtime).catch((cause: unknown) => {
        keyway.transport.log.error("an upgrade failed", cause);
        socket.destroy();
      });
    },
    close: () => (drained ??= drain(runtime)),
  };
}

async function drain(runtime: Runtime): Promise<Drained> {
  runtime.closing = true;
  const open = runtime.open.size;
  const until = Date.now() + runtime.keyway.transport.timeouts.drain;
  for (const entry of runtime.open) entry.drain?.();
  while (runtime.open.size > 0 && Date.now() < until) await pause(20);
  const cut = runtime.open.size;
  for (const entry of runtime.open) entry.cut();
  await runtime.upstreams.close();
  return { finished: open - cut, cut };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
