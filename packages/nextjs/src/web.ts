// What bundles for edge runtimes get in place of index.ts: no Node built-in is imported from here.
import { type Keyway, type KeywayOptions, ProxyError } from "@keyway/core";
import type { PageRouterHandler } from "./page-router.ts";
import { type RouteHandlers, createHandlers } from "./route-handlers.ts";

/** As in index.ts, sending by fetch. */
export function createRouteHandler(input: Keyway | KeywayOptions): RouteHandlers {
  return createHandlers(input, undefined);
}

/** API routes of the page router answer on Node only. */
export function createPageRouterHandler(_input: Keyway | KeywayOptions): PageRouterHandler {
  throw new ProxyError("invalid_option", {
    message: 'Keyway: createPageRouterHandler needs Node: remove runtime: "edge" from this route\'s config.',
  });
}

export { ProxyError, createKeyway, createMemoryStore } from "@keyway/core";
