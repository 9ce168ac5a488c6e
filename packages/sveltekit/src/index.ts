export { createRequestHandler } from "./request-handler.ts";
export { type KitEvent, type RequestHandler, type RequestHandlers, createWebhookHandler } from "./handlers.ts";
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
