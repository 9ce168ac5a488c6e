export { type Keyway, type OpenedJob, type SubmitOptions, type Usage, createKeyway, toKeyway } from "./keyway.ts";
export type { KeywayOptions } from "./options.ts";
export type { Timeouts } from "./timeouts.ts";
export { type ApiKeyOption, keyFromEnvironment } from "./api-key.ts";
export type { FetchContext } from "./web-door.ts";
export { ProxyError, closingRefusal, invalidOption, listErrors, type ErrorCode } from "./errors.ts";
export type { Authorization, Authorize, AskedCall, AuthorizeContext, Caller } from "./rules/caller.ts";
export type { EndpointRule, EndpointsOption } from "./rules/endpoint.ts";
export { type TypedEndpoints, type TypedRule, typedEndpoints } from "./rules/typed-endpoints.ts";
export type { Input, InputContext, InputRule, StandardSchema } from "./rules/input.ts";
export type { BudgetOption, LimitSet, LimitsOption, RateOption } from "./rules/limit-set.ts";
export type { Micros, PriceFunction, PriceOption } from "./rules/price.ts";
export type { WebhooksOption } from "./webhooks/option.ts";
export type { Result, ResultEvent, ResultOrigin } from "./webhooks/event.ts";
export type { OwnJob } from "./own-routes.ts";
export type { Call, Kind } from "./call.ts";
export type { CallEvent, DecisionEvent, DeliveryEvent, DeliveryReason, Log, Observe, ObserveEvent } from "./observe.ts";
export type {
  Account,
  Admission,
  Admitted,
  Allowance,
  Balance,
  Counter,
  Hold,
  HoldName,
  JobList,
  ListedJob,
  ListRead,
  OpenJob,
  Outcome,
  Settled,
  Slot,
  Store,
} from "./store.ts";
export { costOf } from "./rules/outcome.ts";
export { type LoadPricesOptions, type Reconciled, type ReconcileOptions, loadPrices } from "./billing.ts";
export { type AnonymousOptions, anonymous } from "./anonymous.ts";
export type { Finding } from "./check.ts";
export type { Spend } from "./job.ts";
export { type MemoryStoreOptions, createMemoryStore } from "./memory-store.ts";
export { type Head, type Header, type HeaderList, announcesBody, countOf, listsToken, valueOf } from "./head.ts";
export { type Soon, isPending } from "./soon.ts";
export { isPathForm } from "./addressing.ts";
export type {
  Answer,
  AnswerHead,
  CollectedAnswer,
  Door,
  Ending,
  Exchange,
  OpenSocket,
  Rewriter,
  UpstreamHead,
  UpstreamRequest,
  Use,
} from "./seam.ts";
export type { Hmac, PlatformDigests, Sha256 } from "./digests.ts";
export { type Sender, type UpstreamAnswer, createFetchSender, isReset } from "./sender.ts";
