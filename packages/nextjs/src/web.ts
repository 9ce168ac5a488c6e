// What bundles for edge runtimes get in place of index.ts: no Node built-in is imported from here.
import { type Keyway, type KeywayOptions, ProxyError } from "@keyway/core";
import type { PageRouterHandler } from "./page-router.ts";
import { type RouteHandlers, createHandlers } from "./route-handlers.ts";

/** As in index.ts, sending by fetch. */
export function createRouteHandler(input: Keyway | KeywayOptions): RouteHandlers {
  return createHandlers(input, undefined);
}

/** API routes of the Pages Router answer on Node only. */
export function createPageRouterHandler(_input: Keyway | KeywayOptions): PageRouterHandler {
  throw new ProxyError("invalid_option", {
    message: 'Keyway: createPageRouterHandler needs Node: remove runtime: "edge" from this route\'s config.',
  });
}

/** Only Node has upgrades. On edge runtimes real-time works by token. */
export function attach(_server: unknown, _input: Keyway | KeywayOptions): never {
  throw new ProxyError("invalid_option", { message: "Keyway: attach needs Node. Here use real-time by token." });
}

/** As {@link attach}. */
export function attachToServers(input: Keyway | KeywayOptions): never {
  return attach(undefined, input);
}

export { createWebhookRoute } from "./route-handlers.ts";
export { ProxyError, anonymous, createKeyway, createMemoryStore, loadPrices, typedEndpoints } from "@keyway/core";
