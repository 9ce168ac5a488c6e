// What bundles for edge runtimes get in place of index.ts: no Node built-in is imported from here.
import type { Keyway, KeywayOptions } from "@keyway/core";
import { type RequestHandlers, createHandlers } from "./handlers.ts";

/** As in index.ts, sending by fetch. */
export function createRequestHandler(input: Keyway | KeywayOptions): RequestHandlers {
  return createHandlers(input, undefined);
}

export { ProxyError, createKeyway, createMemoryStore } from "@keyway/core";
