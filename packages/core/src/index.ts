export { type Keyway, type Usage, createKeyway, toKeyway } from "./keyway.ts";
export type { KeywayOptions, Timeouts } from "./options.ts";
export type { ApiKeyOption } from "./api-key.ts";
export type { FetchContext } from "./web.ts";
export { type ErrorCode, ProxyError, listErrors } from "./errors.ts";
export type { Authorization, Authorize, AuthorizeContext, Caller } from "./rules/caller.ts";
export type { EndpointRule, EndpointsOption } from "./rules/endpoint.ts";
export type { InputContext, InputRule, StandardSchema } from "./rules/input.ts";
export type { BudgetOption, LimitSet, LimitsOption, RateOption } from "./rules/limits.ts";
export type { Micros, PriceOption } from "./rules/price.ts";
export type { Call, Kind } from "./call.ts";
export type { CallEvent, DecisionEvent, Log, Observe, ObserveEvent } from "./observe.ts";
export type { Account, Admission, Admitted, Balance, Counter, Outcome, Reservation, Store } from "./store.ts";
export { type MemoryStoreOptions, createMemoryStore } from "./memory-store.ts";
export { type Head, type Header, type HeaderList, countOf, listsToken, valueOf } from "./head.ts";
export { isPathForm } from "./addressing.ts";
export type {
  Answer,
  AnswerHead,
  Door,
  Ending,
  Exchange,
  Rewriter,
  UpstreamHead,
  UpstreamRequest,
  Use,
} from "./seam.ts";
export { type Sender, type UpstreamAnswer, createFetchSender } from "./sender.ts";
