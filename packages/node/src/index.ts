export { type Drained, type NodeProxy, attach, attachToServers, createNodeProxy } from "./proxy.ts";
export { type Attachable, attachOnLoad } from "./attach.ts";
export type { HandleContext } from "./http.ts";
export { asksForSocket } from "./handshake.ts";
export { createNodeSender } from "./sender.ts";
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
