import { ProxyError } from "../errors.ts";

/** What is known of a delivered job beside its result. */
export interface ResultOrigin {
  /** As the caller holds it: sealed where jobs are sealed. The same in `jobs()` of `@keyway/client`. */
  readonly requestId: string;
  /** fal's own id, for talking to fal.ai directly. */
  readonly falRequestId: string;
  /** The id of the attempt that gave this result; another than `falRequestId` when fal repeated the job. */
  readonly gatewayRequestId: string;
  /** The caller's id as `authorize` gave it; undefined with `authorize: "public"`, and for jobs of elsewhere (`acceptForeign`). */
  readonly caller: string | undefined;
  /** Undefined only for jobs of elsewhere. */
  readonly endpoint: string | undefined;
  /** Unix time in milliseconds; undefined only for jobs of elsewhere. */
  readonly submittedAt: number | undefined;
  /** fal's billable units, where a price made the proxy ask for them. */
  readonly units: number | undefined;
}

/** How a job came out (fal docs, webhooks). */
export type Result =
  | { readonly status: "OK"; readonly payload: unknown; readonly payloadError?: undefined }
  | { readonly status: "OK"; readonly payload: null; readonly payloadError: string }
  | { readonly status: "ERROR"; readonly error: string; readonly payload: unknown; readonly payloadError?: string };

/** A finished job, told once. When fal says later that it came out otherwise, only `observe` learns of it. */
export type ResultEvent = ResultOrigin & Result;

/** A delivery's body, read. */
export interface DeliveryBody {
  readonly requestId: string;
  readonly gatewayRequestId: string;
  readonly result: Result;
}

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Reads the body of a delivery that is believed; throws `invalid_json` or `invalid_delivery`. */
export function readDelivery(bytes: Uint8Array): DeliveryBody {
  const fields = parseFields(bytes);
  const { request_id: requestId, gateway_request_id: gatewayRequestId, payload_error: payloadError } = fields;
  const { status, payload = null, error } = fields;
  if (typeof requestId !== "string" || (status !== "OK" && status !== "ERROR"))
    throw new ProxyError("invalid_delivery");
  const failed = typeof payloadError === "string" ? { payloadError } : {};
  return {
    requestId,
    gatewayRequestId: typeof gatewayRequestId === "string" ? gatewayRequestId : requestId,
    result:
      status === "ERROR"
        ? { status, error: typeof error === "string" ? error : "", payload, ...failed }
        : failed.payloadError === undefined
          ? { status, payload }
          : { status, payload: null, payloadError: failed.payloadError },
  };
}

/** The outcome as a webhook would have told it, from the answer to a result call. */
export function toResult(status: number, body: Uint8Array): Result {
  let payload: unknown;
  try {
    payload = JSON.parse(decoder.decode(body));
  } catch {
    const payloadError = "the result is not JSON";
    if (status < 300) return { status: "OK", payload: null, payloadError };
    return { status: "ERROR", error: failureOf(status), payload: null, payloadError };
  }
  return status < 300 ? { status: "OK", payload } : { status: "ERROR", error: failureOf(status), payload };
}

/** fal's own words (fal docs, webhooks). */
function failureOf(status: number): string {
  return `Invalid status code: ${status}`;
}

function parseFields(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw new ProxyError("invalid_json", { cause });
  }
  if (typeof value !== "object" || value === null) throw new ProxyError("invalid_delivery");
  return { ...value };
}
