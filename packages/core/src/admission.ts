import { exchangeFor, smallBodyOf } from "./assembly.ts";
import type { Call } from "./call.ts";
import { type ErrorCode, ProxyError } from "./errors.ts";
import type { HeaderList } from "./head.ts";
import { parseJson, writeJson } from "./json.ts";
import { lookAfter } from "./lazy-settlement.ts";
import type { Settings } from "./options.ts";
import { digestOf, recallAnswer, whenWritten } from "./replay.ts";
import { takesBody } from "./rules/body.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Endpoint } from "./rules/endpoint.ts";
import { applyInput } from "./rules/input.ts";
import {
  type Ask,
  type Grant,
  type LimitedCall,
  admitCall,
  admitRates,
  isCounted,
  spends,
  uncounted,
} from "./rules/limits.ts";
import { type Price, reserveOf } from "./rules/price.ts";
import { checkToken } from "./rules/token.ts";
import type { Answer, Door, Exchange } from "./seam.ts";
import { type Soon, andThen, orElse } from "./soon.ts";
import type { Trace } from "./trace.ts";

/** A call that every rule of the head has let through. */
export interface Decided {
  readonly door: Door;
  readonly settings: Settings;
  readonly trace: Trace;
  readonly call: Call;
  readonly caller: KnownCaller;
  readonly endpoint: Endpoint | undefined;
  readonly query: string | null;
  readonly falRequestId: string | undefined;
  readonly form: "header" | "path";
  readonly base: string | undefined;
  readonly more: HeaderList;
}

/** The body as far as a rule had to see it. */
export interface Seen {
  readonly body: "stream" | Uint8Array | null;
  readonly input: unknown;
}

const collectLimit = 1024 * 1024;

/** What costs something comes last: rates, the body where a rule must see it, money and places, the key. */
export function admit(decided: Decided): Soon<Answer | Exchange> {
  const { call, caller, endpoint } = decided;
  if (!isCounted(call)) return exchangeFor(decided, undefined, bodiless, uncounted, decided.more);
  const price = spends(call) ? endpoint?.price : undefined;
  if (price === undefined) checkUncounted(decided);
  const request: LimitedCall = { call, caller, endpoint, price };
  if (readsBody(call, endpoint, price)) return admitRead(decided, request);
  const micros = price === undefined ? undefined : reserveOf(price, undefined, call.endpoint);
  const seen = takesBody(call) ? unread : bodiless;
  return andThen(micros, (reserved) => admitSeen(decided, request, seen, { micros: reserved, rates: true }, []));
}

const bodiless: Seen = { body: null, input: undefined };
const unread: Seen = { body: "stream", input: undefined };

/** Rates are asked before a body is read. */
async function admitRead(decided: Decided, request: LimitedCall): Promise<Answer | Exchange> {
  const { settings, call } = decided;
  const rateHeaders = await orTell(decided, () => admitRates(request, settings), []);
  const seen = await readBody(decided);
  const micros = request.price === undefined ? undefined : await reserveOf(request.price, seen.input, call.endpoint);
  return admitSeen(decided, request, seen, { micros, rates: false }, rateHeaders);
}

/** Money and places, and the answer to a repeated submit. */
function admitSeen(
  decided: Decided,
  request: LimitedCall,
  seen: Seen,
  asks: Pick<Ask, "micros" | "rates">,
  rateHeaders: HeaderList,
): Soon<Answer | Exchange> {
  const { call, caller } = decided;
  const recall = call.kind === "submit" ? caller.replays : undefined;
  const ask: Ask = { ...asks, places: true, recall };
  return andThen(recall === undefined ? undefined : whenWritten(recall), () =>
    andThen(grantCall(decided, request, ask), (first) => {
      const headers = [...decided.more, ...rateHeaders, ...first.headers];
      if (first.recalled === undefined) return exchangeFor(decided, request.price, seen, first, headers);
      return recallOr(decided, seen, first.recalled, async (whole) => {
        const grant = await grantCall(decided, request, { ...ask, recall: undefined });
        return exchangeFor(decided, request.price, whole, grant, headers);
      });
    }),
  );
}

/** The answer that the first of two equal submits did not get, or what else to do. */
async function recallOr(
  decided: Decided,
  seen: Seen,
  recalled: string,
  otherwise: (whole: Seen) => Promise<Exchange>,
): Promise<Answer | Exchange> {
  const { caller, settings } = decided;
  const whole = await smallBodyOf(decided, seen);
  const digest = await digestOf(decided, decided.query, whole.body);
  return (await recallAnswer(recalled, digest, caller.replays, settings)) ?? otherwise(whole);
}

/** A caller's own budget holds only where calls count against it: the app's is checked at creation, his is known now. */
function checkUncounted({ call, caller, endpoint }: Decided): void {
  if (!spends(call) || caller.limits.budget === undefined) return;
  const pattern = endpoint === undefined || endpoint.pattern === "**" ? call.endpoint : endpoint.pattern;
  throw new ProxyError("authorize_failed", {
    log: `a caller with a budget called ${call.endpoint}, which has no price: write endpoints: { "${pattern}": { price: { perCall: 0.04 } } }, or { perCall: 0 } where it is free`,
  });
}

/** Asks for what the call needs. With `dryRun` rates and places are told and not kept; money always is. */
function grantCall(decided: Decided, request: LimitedCall, ask: Ask): Soon<Grant> {
  const { settings, trace } = decided;
  if (!settings.dryRun) return grantLazily(request, ask, settings);
  return orElse(
    () => grantLazily(request, ask, settings),
    (error) => {
      if (!(error instanceof ProxyError) || !soft.includes(error.code)) throw error;
      trace.wouldRefuse(error);
      return grantLazily(request, { ...ask, rates: false, places: false }, settings);
    },
  );
}

/** Before a caller is refused for his open jobs, those that are over are settled. */
function grantLazily(request: LimitedCall, ask: Ask, settings: Settings): Soon<Grant> {
  return orElse(
    () => admitCall(request, ask, settings),
    async (error) => {
      if (!(error instanceof ProxyError) || !lazy.includes(error.code)) throw error;
      if ((await lookAfter(request.caller, settings)) === 0) throw error;
      return admitCall(request, ask, settings);
    },
  );
}

const lazy: readonly ErrorCode[] = ["budget_exceeded", "too_many_open"];
const soft: readonly ErrorCode[] = ["rate_limited", "too_many_open", "input_refused"];

/** Whether a rule has to see the body before it may go. */
function readsBody(call: Call, endpoint: Endpoint | undefined, price: Price | undefined): boolean {
  return (
    takesBody(call) && (call.kind === "token" || endpoint?.input !== undefined || typeof price?.reserve === "function")
  );
}

/** The body as the rules leave it: what they saw is what goes, written anew. */
async function readBody(decided: Decided): Promise<Seen> {
  const { door, call, caller, endpoint, settings } = decided;
  const bytes = await bodyForRule(door, settings);
  if (call.kind === "token")
    return { body: checkToken(call, bytes, tokenEndpoints(caller, settings), settings.realtime), input: undefined };
  const parsed = parseJson(bytes);
  const { input: rule } = endpoint ?? {};
  const unruled = { body: writeJson(parsed.value, parsed.spellings), input: parsed.value };
  if (rule === undefined) return unruled;
  return orTell(decided, async () => applyInput(rule, parsed, call, caller), unruled);
}

async function bodyForRule(door: Door, { maxBodyBytes }: Settings): Promise<Uint8Array> {
  try {
    return await door.body(Math.min(collectLimit, maxBodyBytes));
  } catch (error) {
    // A host that has a limit of its own names it in a message of its own.
    const ours = error instanceof ProxyError && error.code === "body_too_large" && error.cause === undefined;
    if (!ours || maxBodyBytes <= collectLimit) throw error;
    throw new ProxyError("body_too_large", {
      message: `The request body is larger than ${collectLimit} bytes, which is all that a rule looks at. Send large files by their URL.`,
    });
  }
}

/** A token spends uncounted: to a caller with a budget it is given only where a rule says so. */
function tokenEndpoints({ limits }: KnownCaller, { endpoints }: Settings): readonly Endpoint[] {
  if (limits.budget === undefined) return endpoints;
  return endpoints.map((endpoint) => ({ ...endpoint, realtime: endpoint.realtime ?? "proxied" }));
}

/** With `dryRun` the refusals of soft rules are told and not made. */
async function orTell<T>({ settings, trace }: Decided, rule: () => Promise<T>, otherwise: T): Promise<T> {
  if (!settings.dryRun) return rule();
  try {
    return await rule();
  } catch (error) {
    if (!(error instanceof ProxyError) || !soft.includes(error.code)) throw error;
    trace.wouldRefuse(error);
    return otherwise;
  }
}
