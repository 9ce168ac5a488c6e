import type { Keyway, KeywayOptions } from "@keyway/core";
import { createNodeSender } from "@keyway/node";
import { type RouteHandlers, createHandlers } from "./route-handlers.ts";

const sender = createNodeSender();

/**
 * The proxy as route handlers of the app router, for `app/api/fal/proxy/[[...path]]/route.ts`.
 *
 * @example
 * export const { GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS } = createRouteHandler(keyway);
 */
export function createRouteHandler(input: Keyway | KeywayOptions): RouteHandlers {
  return createHandlers(input, sender);
}
