export { createRouteHandler } from "./app-router.ts";
export { type PageRouterHandler, createPageRouterHandler } from "./page-router.ts";
export { type RouteHandler, type RouteHandlers, createWebhookRoute } from "./route-handlers.ts";
export {
  type Authorization,
  type Authorize,
  type AuthorizeContext,
  type Caller,
  type EndpointRule,
  type EndpointsOption,
  type Keyway,
  type KeywayOptions,
  type LimitSet,
  type ObserveEvent,
  type ResultEvent,
  type Store,
  type Usage,
  type WebhooksOption,
  ProxyError,
  anonymous,
  createKeyway,
  createMemoryStore,
  loadPrices,
  typedEndpoints,
} from "@keyway/core";
export { type Attachable, type NodeProxy, attach, attachToServers } from "@keyway/node";
