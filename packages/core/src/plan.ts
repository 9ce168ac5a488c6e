import { admit } from "./admission.ts";
import { emptyAnswer, toAnswer, toProxyError } from "./answer.ts";
import { type Addressed, readAddress, targetOf } from "./addressing.ts";
import { type Call, callMethods, namesJob, parseCall } from "./call.ts";
import { ProxyError, closingRefusal } from "./errors.ts";
import { type HeaderList, valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { checkBodyHeaders } from "./rules/body.ts";
import { type KnownCaller, identifyCaller } from "./rules/caller.ts";
import { findEndpoint } from "./rules/endpoint.ts";
import { answerOwnRoute } from "./own-routes.ts";
import { checkOrigin, ownUrl, preflightHeaders } from "./rules/origin.ts";
import { openJob, ownsJobs } from "./rules/ownership.ts";
import { checkQuery } from "./rules/query.ts";
import type { Answer, Door, Exchange } from "./seam.ts";
import { type Soon, andThen, orElse } from "./soon.ts";
import { type Trace, createTrace } from "./trace.ts";
import type { Understood } from "./understood.ts";

/** The one door into the decisions: an answer of our own, or an exchange to carry out. Never throws. */
export function plan(door: Door, settings: Settings): Soon<Answer | Exchange> {
  const trace = createTrace(door.head, settings);
  return orElse(
    () => andThen(decide(door, settings, trace), (decided) => pass(decided, trace)),
    (error) => refuse(error, door, settings, trace),
  );
}

function pass(decided: Answer | Exchange, trace: Trace): Answer | Exchange {
  if (decided.type === "exchange") trace.decided("admitted", undefined, undefined);
  else trace.decided("answered", decided.status, undefined);
  return decided;
}

function refuse(error: unknown, { head }: Door, settings: Settings, trace: Trace): Answer {
  const refusal = toProxyError(error);
  trace.logError(refusal);
  trace.decided("refused", refusal.status, refusal.code);
  return toAnswer(refusal, head, settings);
}

/** The rules in their order: target, method, origin, caller, endpoint, ownership, body's headers, limits, body, input, key. */
function decide(door: Door, settings: Settings, trace: Trace): Soon<Answer | Exchange> {
  const { head } = door;
  if (door.closing) throw closingRefusal();
  if (head.headers.length >= mostHeaders) throw new ProxyError("too_many_headers");
  if (head.method === "OPTIONS") return preflight(door, settings);
  const address = readAddress(head);
  if (address.form === "own") return answerOwnRoute(address.route, door, settings, trace);
  const known = settings.understood.find(address, head);
  const call = known?.call ?? parseCall(targetOf(address), head.method, head.upgrade);
  trace.call = call;
  checkOrigin(head, address.form, settings);
  return andThen(identifyCaller(door, call, settings), (identified) => {
    const { caller, setCookie } = identified;
    trace.caller = caller;
    const { endpoint, query } = known ?? understand(call, address, trace, settings);
    return andThen(openJob(call, caller, settings), (falRequestId) => {
      if (falRequestId !== undefined) notePoll(call, falRequestId, caller, settings);
      checkBodyHeaders(call, head.headers, settings.maxBodyBytes);
      const { form } = address;
      const base = form === "path" && namesJob(call) ? ownUrl(head, address.mount, settings) : undefined;
      const more: HeaderList = setCookie === undefined ? [] : [["set-cookie", setCookie]];
      return admit({ door, settings, trace, call, caller, endpoint, query, falRequestId, form, base, more });
    });
  });
}

function understand(call: Call, address: Addressed, trace: Trace, settings: Settings): Understood {
  const endpoint =
    call.endpoint === "" ? undefined : orTell(trace, settings, () => findEndpoint(call, settings.endpoints));
  const query = checkQuery(call, endpoint?.ruled === true, settings.webhooks?.allow);
  const understood = { call, endpoint, query };
  // With `dryRun` every call is told of anew.
  if (!settings.dryRun) settings.understood.keep(address, understood);
  return understood;
}

/** Node 22 drops what comes after the first thousand and says nothing (`server.maxHeadersCount`): a rule could miss what it looks for. */
const mostHeaders = 1000;

/** With `dryRun` a refusal is told and not made, except where it keeps money from being spent uncounted. */
function orTell<T>(trace: Trace, settings: Settings, rule: () => T): T | undefined {
  if (!settings.dryRun || settings.endpoints.some(({ price }) => price !== undefined)) return rule();
  try {
    return rule();
  } catch (error) {
    trace.wouldRefuse(toProxyError(error));
    return undefined;
  }
}

/** Reads of a job are counted in the process, as are its cancels, and keep it from being taken for abandoned. */
function notePoll(call: Call, falRequestId: string, caller: KnownCaller, settings: Settings): void {
  settings.polls.take(call.kind === "cancel" ? `cancel ${falRequestId}` : falRequestId);
  if (call.kind === "cancel" || call.method === "HEAD") return;
  // Whoever holds a sealed id was given it here; an id that anybody may invent is believed when fal.ai knows it.
  if (ownsJobs(caller, settings)) settings.abandonment?.seen({ id: falRequestId, app: call.app, caller: caller.id });
}

/** Preflights are ours and ask nobody (WHATWG Fetch, section 4.8). */
function preflight(door: Door, settings: Settings): Answer {
  const { headers } = door.head;
  const origin = valueOf(headers, "origin");
  if (origin === undefined || valueOf(headers, "access-control-request-method") === undefined) {
    return emptyAnswer(204, [["allow", [...callMethods, "OPTIONS"].join(", ")]], door.head, settings);
  }
  if (!settings.origins.includes(origin)) throw new ProxyError("forbidden_origin");
  return emptyAnswer(204, preflightHeaders(settings), door.head, settings);
}
