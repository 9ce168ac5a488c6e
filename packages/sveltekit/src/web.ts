// What bundles for edge runtimes get in place of index.ts: no Node built-in is imported from here.
import { type Keyway, type KeywayOptions, ProxyError } from "@keyway/core";
import { type RequestHandlers, createHandlers } from "./handlers.ts";

/** As in index.ts, sending by fetch. */
export function createRequestHandler(input: Keyway | KeywayOptions): RequestHandlers {
  return createHandlers(input, undefined);
}

/** Only Node has upgrades. On edge runtimes real-time works by token. */
export function attach(_server: unknown, _input: Keyway | KeywayOptions): never {
  throw new ProxyError("invalid_option", { message: "Keyway: attach needs Node. Here use real-time by token." });
}

/** As {@link attach}. */
export function attachToServers(input: Keyway | KeywayOptions): never {
  return attach(undefined, input);
}

export { createWebhookHandler } from "./handlers.ts";
export { ProxyError, anonymous, createKeyway, createMemoryStore, loadPrices, typedEndpoints } from "@keyway/core";
