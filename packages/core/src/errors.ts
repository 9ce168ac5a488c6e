import type { HeaderList } from "./head.ts";
import type { DeliveryReason } from "./observe.ts";

/** The closed list of refusal codes. Match by code: messages may be reworded. */
export type ErrorCode =
  | "missing_target"
  | "ambiguous_target"
  | "target_refused"
  | "unknown_call"
  | "unsupported_call"
  | "query_refused"
  | "webhook_refused"
  | "delivery_refused"
  | "invalid_delivery"
  | "webhook_failed"
  | "webhook_busy"
  | "webhooks_missing"
  | "keys_unavailable"
  | "repeated_header"
  | "unexpected_body"
  | "invalid_json"
  | "input_refused"
  | "body_incomplete"
  | "unauthorized"
  | "budget_exceeded"
  | "paused"
  | "denied"
  | "forbidden_origin"
  | "forbidden_navigation"
  | "endpoint_refused"
  | "token_refused"
  | "realtime_refused"
  | "uploads_refused"
  | "not_found"
  | "route_not_found"
  | "method_refused"
  | "body_timeout"
  | "body_too_large"
  | "unsupported_media_type"
  | "unsupported_content_encoding"
  | "not_websocket"
  | "websocket_version"
  | "too_many_headers"
  | "rate_limited"
  | "authorize_failed"
  | "input_rule_failed"
  | "key_missing"
  | "public_url_missing"
  | "body_consumed"
  | "store_unavailable"
  | "store_full"
  | "upstream_unanswered"
  | "internal"
  | "upstream_unreachable"
  | "upstream_invalid"
  | "upstream_redirect"
  | "too_many_open"
  | "closing"
  | "upstream_timeout"
  | "invalid_option";

/**
 * The one table of refusals: code → status and what the person reading it should do.
 *
 * Statuses are chosen by what fal's clients do with them: they repeat 429, 502, 503 and 504 (Python also 408 and 409), so a
 * refusal never uses one of these unless repeating the call can help and cannot be billed twice.
 */
const refusals: Readonly<Record<ErrorCode, readonly [status: number, message: string]>> = {
  missing_target: [400, "No fal.ai target: send the header x-fal-target-url, or call <mount>/<fal host>/<path>."],
  ambiguous_target: [
    400,
    "The target was given more than once: send one x-fal-target-url on the bare mount URL, or the path form.",
  ],
  target_refused: [400, "The target is not a plain https URL of a fal.ai host."],
  unknown_call: [400, "This is not one of fal's documented calls."],
  unsupported_call: [400, "This kind of fal.ai call is not supported."],
  query_refused: [400, "The target carries a query parameter that this call does not take."],
  webhook_refused: [400, "fal_webhook may not be chosen by the caller: the server decides where results are posted."],
  delivery_refused: [401, "This is not a delivery of fal.ai, or it is too old."],
  invalid_delivery: [400, "The delivery's body is not one of fal's."],
  webhook_failed: [500, "The app could not take the delivery. Deliver it again."],
  webhook_busy: [500, "The app is still at work on this delivery. Deliver it again."],
  webhooks_missing: [500, "The app is not set up to take deliveries."],
  keys_unavailable: [503, "The app could not get the keys that sign deliveries. Deliver it again."],
  repeated_header: [400, "A header that may occur once was sent more than once."],
  unexpected_body: [400, "This call takes no body."],
  invalid_json: [400, "The body is not valid JSON in UTF-8."],
  input_refused: [400, "The input is not allowed for this endpoint."],
  body_incomplete: [400, "The request body ended early."],
  unauthorized: [401, "Sign in first: this app did not recognise the caller."],
  budget_exceeded: [402, "The budget for these calls is spent."],
  paused: [403, "Calls are paused by the app."],
  denied: [403, "This caller may not make this call."],
  forbidden_origin: [403, "Pages of this origin may not call: list it in `origins` if they should."],
  forbidden_navigation: [403, "This URL answers calls of an app. It cannot be opened as a page or embedded."],
  endpoint_refused: [403, "This endpoint is not on the app's list: add it to `endpoints` if callers should reach it."],
  token_refused: [
    403,
    'Tokens are not given out for this app: state `realtime: "token"` for the endpoint, or connect through the proxy.',
  ],
  realtime_refused: [403, "Real-time connections are not open for this endpoint: its rule cannot see into them."],
  uploads_refused: [403, "Uploads are switched off in this app."],
  not_found: [404, "There is no such request."],
  route_not_found: [404, "There is nothing at this path."],
  method_refused: [405, "This call does not take this method."],
  body_timeout: [400, "The request body stopped arriving."],
  body_too_large: [413, "The request body is larger than `maxBodyBytes`."],
  unsupported_media_type: [415, "Send the body as application/json."],
  unsupported_content_encoding: [415, "Send the body without content-encoding."],
  not_websocket: [400, "This is not a valid WebSocket handshake (RFC 6455, section 4.2.1)."],
  websocket_version: [426, "Only WebSocket version 13 is spoken here (RFC 6455)."],
  too_many_headers: [431, "The request has a thousand headers or more, and some may be missing."],
  rate_limited: [429, "Too many calls: wait as long as Retry-After says."],
  too_many_open: [429, "Too many jobs or streams are open at once: wait until one ends."],
  authorize_failed: [500, "The app could not decide whether this caller may call."],
  input_rule_failed: [500, "The app could not check this input."],
  key_missing: [500, "The app is not set up to call fal.ai."],
  public_url_missing: [500, "The app does not know its own public address."],
  body_consumed: [500, "The request body was read before the proxy could forward it."],
  store_unavailable: [500, "The app could not check its limits."],
  store_full: [500, "The app cannot keep track of more callers."],
  upstream_unanswered: [500, "fal.ai got the call and did not answer it. It may have run: check before you repeat it."],
  internal: [500, "Something went wrong in the proxy."],
  upstream_unreachable: [502, "fal.ai could not be reached."],
  upstream_invalid: [502, "fal.ai sent an answer that cannot be passed on."],
  upstream_redirect: [502, "fal.ai answered with a redirect, which is never followed."],
  closing: [503, "The server is shutting down."],
  upstream_timeout: [504, "fal.ai did not answer in time."],
  invalid_option: [500, "An option is wrong."],
};

/** What an error says beyond its code. */
export interface ErrorDetails {
  /** In place of the table's message; may be shown to a caller. */
  readonly message?: string;
  readonly cause?: unknown;
  /** What the operator's log should say. */
  readonly log?: string;
  /** What `observe` is told of a refused delivery; its sender is not. */
  readonly reason?: DeliveryReason;
  readonly status?: number;
  /** Headers of the answer, such as retry-after or allow. */
  readonly headers?: HeaderList;
}

/** Every refusal and failure of Keyway. `message` may be shown to a caller; `cause` and `log` are for the app's own log only. */
export class ProxyError extends Error {
  readonly code: ErrorCode;
  /** HTTP status of the answer. */
  readonly status: number;
  readonly log: string | undefined;
  readonly reason: DeliveryReason | undefined;
  readonly headers: HeaderList;

  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    const [status, message] = refusals[code];
    super(details.message ?? message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "ProxyError";
    this.code = code;
    this.status = details.status ?? status;
    this.log = details.log;
    this.reason = details.reason;
    this.headers = details.headers ?? [];
  }
}

/** A mistake in an option: the message shows the line to write. */
export function invalidOption(message: string): ProxyError {
  return new ProxyError("invalid_option", { message: `Keyway: ${message.replace(/[.]$/, "")}.` });
}

/** When repeating may help, as RFC 9110, section 10.2.3 writes it: whole seconds, at least one. */
export function retryAfter(ms: number): HeaderList {
  return [["retry-after", String(Math.max(1, Math.ceil(ms / 1000)))]];
}

/** What everybody gets while the server is shutting down. */
export function closingRefusal(): ProxyError {
  return new ProxyError("closing", { headers: [["connection", "close"], ...retryAfter(5000)] });
}

/** Every code with its status and message, for documentation and tests. */
export function listErrors(): { code: ErrorCode; status: number; message: string }[] {
  const codes = Object.keys(refusals) as ErrorCode[];
  return codes.map((code) => ({ code, status: refusals[code][0], message: refusals[code][1] }));
}
