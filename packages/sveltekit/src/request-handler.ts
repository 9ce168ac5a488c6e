import type { Keyway, KeywayOptions } from "@keyway/core";
import { createNodeSender } from "@keyway/node";
import { type RequestHandlers, createHandlers } from "./handlers.ts";

const sender = createNodeSender();

/**
 * The proxy as request handlers, for `src/routes/api/fal/proxy/[...path]/+server.ts`.
 *
 * @example
 * export const { GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS } = createRequestHandler(keyway);
 */
export function createRequestHandler(input: Keyway | KeywayOptions): RequestHandlers {
  return createHandlers(input, sender);
}
