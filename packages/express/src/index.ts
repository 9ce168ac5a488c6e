export { type ExpressProxy, createHandler } from "./handler.ts";
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
export { type Drained, type NodeProxy, attach } from "@keyway/node";
