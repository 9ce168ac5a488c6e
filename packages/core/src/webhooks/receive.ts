import { jsonAnswer, toAnswer, toProxyError } from "../answer.ts";
import { appOf } from "../call.ts";
import { ProxyError, closingRefusal } from "../errors.ts";
import { type HeaderList, countOf, valueOf } from "../head.ts";
import { type JobOrigin, jobKey, readNote } from "../job.ts";
import type { DeliveryReason } from "../observe.ts";
import type { Settings } from "../options.ts";
import type { Answer, Door } from "../seam.ts";
import { hashOfCaller } from "../store-keys.ts";
import { createTrace } from "../trace.ts";
import { settleDelivered } from "./charge.ts";
import { type Delivery, deliver } from "./deliver.ts";
import { readDelivery } from "./event.ts";
import type { Webhooks } from "./option.ts";
import { tagIn } from "./submit.ts";
import { type SignedDelivery, readSigned, verifySigned } from "./verify.ts";

/** What became of a delivery that was believed. */
interface Received {
  readonly outcome: "handled" | "replayed" | "foreign";
  readonly reason?: DeliveryReason;
  readonly origin?: JobOrigin | undefined;
}

const mostBytes = 10 * 1024 * 1024;
/** fal gives the first try 15 seconds (fal docs, webhooks). Milliseconds. */
const patience = 10_000;

/** Answers one delivery of fal's. Its sender learns nothing but the status: why is for `observe`. Never rejects. */
export async function receiveDelivery(door: Door, settings: Settings): Promise<Answer> {
  const trace = createTrace(door.head, settings);
  try {
    const { outcome, reason, origin } = await receive(door, settings);
    const caller = origin === undefined ? undefined : await hashOfCaller(origin.caller, settings.hashes);
    trace.delivered(outcome, { reason, status: 200, code: undefined, endpoint: origin?.endpoint, caller });
    return jsonAnswer(200, { received: true }, door.head, settings);
  } catch (error) {
    const refusal = toProxyError(error);
    const { status, code, reason } = refusal;
    trace.logError(refusal);
    trace.delivered(status >= 500 ? "failed" : "refused", {
      reason,
      status,
      code,
      endpoint: undefined,
      caller: undefined,
    });
    return toAnswer(refusal, door.head, settings);
  }
}

/** What costs least comes first: a forged delivery is refused before its body is read, where its headers show it. */
async function receive(door: Door, settings: Settings): Promise<Received> {
  const { head } = door;
  const { webhooks } = settings;
  if (door.closing) throw closingRefusal();
  if (webhooks === undefined)
    throw new ProxyError("webhooks_missing", { log: "a webhook arrived, but the option webhooks is not stated" });
  if (head.method !== "POST")
    throw new ProxyError("method_refused", { message: "A delivery is a POST.", headers: [["allow", "POST"]] });
  checkBody(head.headers);
  const signed = readSigned(head.headers, settings.now() / 1000);
  if (!signed.ok) throw refuse(signed.reason, undefined);
  const body = await readBody(door);
  const verified = await verifySigned(signed, body, webhooks.jwks);
  if (!verified.ok) throw refuse(verified.reason, verified.cause);
  const origin = await originOf(verified, head.query, webhooks, settings);
  if (typeof origin === "string") return { outcome: "foreign", reason: origin };
  const { requestId, gatewayRequestId, result } = readDelivery(body);
  if (requestId !== verified.requestId) throw new ProxyError("invalid_delivery", { reason: "other_request" });
  const delivery: Delivery = {
    falRequestId: requestId,
    gatewayRequestId,
    result,
    origin,
    settle: async () => origin && settleDelivered({ id: requestId, app: appOf(origin.endpoint), ...origin }, settings),
  };
  const outcome = await deliver(delivery, patience, webhooks, settings);
  if (outcome === "busy") throw new ProxyError("webhook_busy");
  return outcome === "contradicted" ? { outcome: "replayed", reason: "other_status", origin } : { outcome, origin };
}

function checkBody(headers: HeaderList): void {
  const coding = valueOf(headers, "content-encoding")?.trim().toLowerCase() ?? "identity";
  if (coding !== "identity") throw new ProxyError("unsupported_content_encoding");
  if (countOf(headers, "content-length") > 1) throw new ProxyError("repeated_header");
  if (Number(valueOf(headers, "content-length") ?? 0) > mostBytes) throw tooLarge(undefined);
}

function tooLarge(cause: unknown): ProxyError {
  return new ProxyError("body_too_large", { cause, message: `A delivery has at most ${mostBytes} bytes.` });
}

async function readBody(door: Door): Promise<Uint8Array> {
  try {
    return await door.body(mostBytes);
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    if (error.code === "body_timeout") throw new ProxyError("body_timeout", { status: 408 });
    if (error.code !== "body_too_large") throw error;
    const refusal = tooLarge(error);
    throw new ProxyError(refusal.code, { message: refusal.message, log: `a delivery was too large: ${error.message}` });
  }
}

function refuse(reason: DeliveryReason, cause: unknown): ProxyError {
  if (reason === "keys_unavailable")
    return new ProxyError(reason, { reason, cause, log: "fal's keys are not to be had" });
  if (reason === "header_repeated") return new ProxyError("repeated_header", { reason });
  return new ProxyError("delivery_refused", { reason });
}

/** Whose job it is, or why it is none of ours: one key set signs for every account of fal's. */
async function originOf(
  { requestId, userId }: SignedDelivery,
  query: string | null,
  { userId: account, acceptForeign, tags }: Webhooks,
  settings: Settings,
): Promise<JobOrigin | DeliveryReason | undefined> {
  if (account !== undefined && userId !== account) return "other_account";
  const tag = tagIn(query);
  const origin = tag === undefined ? undefined : await tags.open(tag);
  if (origin === undefined) {
    if (acceptForeign) return undefined;
    return tag === undefined ? "no_tag" : "wrong_tag";
  }
  const key = await jobKey(requestId, settings);
  const note = readNote(await settings.askStore((store) => store.get(key)));
  const same = note === undefined || (note.caller === origin.caller && note.endpoint === origin.endpoint);
  return same ? origin : "other_job";
}
