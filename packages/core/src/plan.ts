import { emptyAnswer, toAnswer, toProxyError } from "./answer.ts";
import { type Addressed, readAddress } from "./addressing.ts";
import { resolveKey } from "./api-key.ts";
import { type Call, parseCall } from "./call.ts";
import { ProxyError, retryAfter } from "./errors.ts";
import { createExchange } from "./exchange.ts";
import { valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { checkBodyHeaders, takesBody } from "./rules/body.ts";
import { type KnownCaller, identifyCaller } from "./rules/caller.ts";
import { type Endpoint, findEndpoint } from "./rules/endpoint.ts";
import { applyInput } from "./rules/input.ts";
import { admitCall } from "./rules/limits.ts";
import { checkOrigin, ownUrl, preflightHeaders } from "./rules/origin.ts";
import { openJob, ownsJobs } from "./rules/ownership.ts";
import { checkQuery } from "./rules/query.ts";
import { checkToken } from "./rules/token.ts";
import type { Answer, Door, Exchange } from "./seam.ts";
import { type Trace, createTrace } from "./trace.ts";

/** The one door into the decisions: an answer of our own, or an exchange to carry out. Never throws. */
export async function plan(door: Door, settings: Settings): Promise<Answer | Exchange> {
  const trace = createTrace(door.head, settings);
  try {
    const decided = await decide(door, settings, trace);
    if (decided.type === "exchange") trace.decided("admitted", undefined, undefined);
    else trace.decided("answered", decided.status, undefined);
    return decided;
  } catch (error) {
    const refusal = toProxyError(error);
    trace.logError(refusal);
    trace.decided("refused", refusal.status, refusal.code);
    return toAnswer(refusal, door.head, settings);
  }
}

/** The rules in their order: target, method, origin, caller, endpoint, ownership, body's headers, limits, body, input, key. */
async function decide(door: Door, settings: Settings, trace: Trace): Promise<Answer | Exchange> {
  const { head } = door;
  if (door.closing) throw new ProxyError("closing", { headers: [["connection", "close"], ...retryAfter(5000)] });
  if (head.method === "OPTIONS") return preflight(door, settings);
  const address = readAddress(head);
  if (address.form === "own") throw new ProxyError("route_not_found");
  const call = parseCall(address.target, head.method, head.upgrade);
  trace.call = call;
  checkOrigin(head, address.form, settings);
  const caller = await identifyCaller(door, call, settings);
  trace.caller = caller;
  const endpoint = call.endpoint === "" ? undefined : findEndpoint(call, settings.endpoints);
  const query = checkQuery(call, endpoint?.input !== undefined || endpoint?.price !== undefined);
  const falRequestId = await openJob(call, caller, settings);
  checkBodyHeaders(call, head.headers, settings.maxBodyBytes);
  const base = address.form === "path" && !head.upgrade ? ownUrl(head, address.mount, settings) : undefined;
  return admit({ door, settings, trace, address, call, caller, endpoint, query, falRequestId, base });
}

interface Decided {
  readonly door: Door;
  readonly settings: Settings;
  readonly trace: Trace;
  readonly address: Addressed;
  readonly call: Call;
  readonly caller: KnownCaller;
  readonly endpoint: Endpoint | undefined;
  readonly query: string | null;
  readonly falRequestId: string | undefined;
  readonly base: string | undefined;
}

/** What costs something comes last: rates, the body where a rule must see it, money, the key. */
async function admit(decided: Decided): Promise<Exchange> {
  const { door, settings, trace, call, caller, endpoint, query, falRequestId, base } = decided;
  const price = takesBody(call) || call.kind === "realtime" ? endpoint?.price : undefined;
  const reads = readsBody(decided);
  if (reads) await admitCall("rates", call, caller, price, settings);
  const body = await bodyFor(decided);
  const reservation = await admitCall(reads ? "money" : "both", call, caller, price, settings);
  try {
    const apiKey = await resolveKey(settings.apiKey, caller);
    if (door.isGone()) throw new ProxyError("body_incomplete", { message: "The caller left." });
    const job = falRequestId === undefined ? undefined : { from: falRequestId, to: call.requestId ?? falRequestId };
    const { app } = call;
    const seal = ownsJobs(caller, settings)
      ? (requestId: string) => settings.sealer.seal({ caller: caller.id, app, requestId })
      : undefined;
    const reauthorize = (): Promise<boolean> => isStill(door, call, caller, settings);
    return createExchange({
      door,
      call,
      caller,
      settings,
      trace,
      query,
      body,
      apiKey,
      reservation,
      job,
      seal,
      base,
      reauthorize,
    });
  } catch (error) {
    if (reservation !== undefined)
      await settings
        .askStore((store) => store.settle({ reservation: reservation.id }, "release"))
        .catch(() => undefined);
    throw error;
  }
}

/** Whether a rule has to see the body before it may go. */
function readsBody({ call, endpoint }: Decided): boolean {
  return takesBody(call) && (call.kind === "token" || endpoint?.input !== undefined);
}

async function bodyFor({ door, call, caller, endpoint, settings }: Decided): Promise<"stream" | Uint8Array | null> {
  if (!takesBody(call)) return null;
  if (call.kind === "token")
    return checkToken(call, await door.body(collectLimit), settings.endpoints, settings.realtime);
  if (endpoint?.input === undefined) return "stream";
  return applyInput(endpoint.input, await door.body(Math.min(collectLimit, settings.maxBodyBytes)), call, caller);
}

const collectLimit = 1024 * 1024;

/** Asked while a stream or socket is open: whoever is no longer let in is cut off, and so is everyone when the app cannot tell. */
async function isStill(door: Door, call: Call, caller: KnownCaller, settings: Settings): Promise<boolean> {
  try {
    return (await identifyCaller(door, call, settings)).id === caller.id;
  } catch {
    return false;
  }
}

/** Preflights are ours and ask nobody (WHATWG Fetch, section 4.8). */
function preflight(door: Door, settings: Settings): Answer {
  const { headers } = door.head;
  const origin = valueOf(headers, "origin");
  if (origin === undefined || valueOf(headers, "access-control-request-method") === undefined) {
    return emptyAnswer(204, [["allow", "GET, HEAD, POST, PUT, OPTIONS"]], door.head, settings);
  }
  if (!settings.origins.includes(origin)) throw new ProxyError("forbidden_origin");
  return emptyAnswer(204, preflightHeaders(settings), door.head, settings);
}
