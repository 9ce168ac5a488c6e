import type { Call } from "../call.ts";
import { type ErrorCode, ProxyError, retryAfter } from "../errors.ts";
import type { HeaderList } from "../head.ts";
import type { Settings } from "../options.ts";
import { type Soon, andThen, orElse } from "../soon.ts";
import type { Admission, Admitted, Hold, Slot } from "../store.ts";
import { nameOfCaller, storeKey } from "../store-keys.ts";
import type { KnownCaller } from "./caller.ts";
import type { Endpoint } from "./endpoint.ts";
import type { Micros, Price } from "./price.ts";
import { rateHeaders } from "./rate-headers.ts";
import { type NamedCounter, type Scope, createCounter } from "./scope.ts";

/** A call that limits may hold for. */
export interface LimitedCall {
  readonly call: Call;
  readonly caller: KnownCaller;
  readonly endpoint: Endpoint | undefined;
  readonly price: Price | undefined;
}

/** What a call was given. */
export interface Grant {
  readonly hold: Hold | undefined;
  /** RateLimit fields for the answer. */
  readonly headers: HeaderList;
  /** What stood under the key to recall; then nothing was taken. */
  readonly recalled: string | undefined;
}

/** What one call asks the store, its rates with the names that the answer gives them. */
interface NamedAdmission extends Admission {
  readonly counters: readonly NamedCounter[];
}

/** What calls get that nothing counts. */
export const uncounted: Grant = { hold: undefined, headers: [], recalled: undefined };

/** Asks the store for rates alone, before a body is read. */
export async function admitRates(limited: LimitedCall, settings: Settings): Promise<HeaderList> {
  const counters = countersOf(limited, await scopesOf(limited, settings), settings);
  const gate = await gateKey(settings);
  return (await askStore({ gate, recall: undefined, counters, hold: undefined }, settings)).headers;
}

/** What one question to the store is about. */
export interface Ask {
  /** Money to set aside; undefined where the call has no price. */
  readonly micros: Micros | undefined;
  /** False when the rates were asked before. */
  readonly rates: boolean;
  readonly places: boolean;
  /** Where a repeated submit finds the answer that its caller never got. */
  readonly recall: string | undefined;
}

/** Asks the store for rates, places and money at once; throws 402, 403, 429 or 500. */
export function admitCall(limited: LimitedCall, ask: Ask, settings: Settings): Soon<Grant> {
  return andThen(scopesOf(limited, settings), (scopes) => {
    const counters = ask.rates ? countersOf(limited, scopes, settings) : [];
    const hold = holdOf(limited, scopes, ask, settings);
    return andThen(gateKey(settings), (gate) => askStore({ gate, recall: ask.recall, counters, hold }, settings));
  });
}

/** While something stands here, nothing that spends is admitted. */
export function gateKey(settings: Settings): Soon<string> {
  return andThen(settings.hashes.of("gate"), (hash) => storeKey("paused", hash));
}

function askStore(admission: NamedAdmission, settings: Settings): Soon<Grant> {
  const { counters, hold } = admission;
  if (counters.length === 0 && hold === undefined) return uncounted;
  const answered = orElse(
    () => settings.askStore((store) => store.admit(admission)),
    (error) => {
      // A store that was too slow may still have taken the hold, so it is given back.
      if (hold !== undefined) void giveBack(hold, settings);
      throw error;
    },
  );
  return andThen(answered, (answer) => toGrant(answer, admission));
}

async function giveBack({ id }: Hold, settings: Settings): Promise<void> {
  try {
    await settings.askStore((store) => store.settle({ hold: id }, "release"));
  } catch {
    // It is charged when its lease ends.
  }
}

function toGrant(answer: Admitted, { counters, hold }: NamedAdmission): Grant {
  if (answer.ok) return { hold, headers: rateHeaders(counters, answer.allowances), recalled: undefined };
  if (answer.why === "recall") return { hold: undefined, headers: [], recalled: answer.value };
  throw refuse(answer, counters);
}

function holdOf(
  { call, price }: LimitedCall,
  scopes: readonly Scope[],
  { micros, places }: Ask,
  settings: Settings,
): Hold | undefined {
  if (!spends(call)) return undefined;
  const slots = places ? slotsOf(call, scopes) : [];
  if (slots.length === 0 && micros === undefined) return undefined;
  const { connect, finish, head, jobLease, openLease, runHead, streamIdle } = settings.timeouts;
  // A job's lease begins when its submit is answered: until then a crash must not hold its place for a day.
  const submitLease = openLease + connect + head + finish;
  const leaseMs = isOpen(call)
    ? openLease
    : call.kind === "submit"
      ? Math.min(jobLease, submitLease)
      : runHead + streamIdle;
  const counted = scopes.filter((scope) => countsMoney(call, scope, micros));
  const now = settings.now();
  const accounts = counted.map(({ accountAt }) => accountAt(now));
  const { perUnit, perSecond, perMinute } = price ?? {};
  const perOne = isOpen(call) ? (perUnit ?? perMinute) : perUnit;
  return { id: nextId(), micros: micros ?? 0, perUnit: perOne, perSecond, accounts, slots, leaseMs };
}

let ids = 0;
let here = "";

/** Unlike every other, in this process and beside it. Some platforms have no random numbers before the first request. */
function nextId(): string {
  if (here === "") here = crypto.randomUUID();
  ids += 1;
  return `${here}:${ids}`;
}

/** A job without a price stands in the accounts too, at no cost: that is where open jobs are looked for. */
function countsMoney(call: Call, { label, limits: { budget } }: Scope, micros: Micros | undefined): boolean {
  const always = label === "caller" || label === "group" || label === "global";
  return micros === undefined ? always && call.kind === "submit" : always || budget !== undefined;
}

/** Calls that cost something or take a place. */
export function spends({ kind }: Call): boolean {
  return kind === "run" || kind === "stream" || kind === "submit" || kind === "realtime";
}

/** Calls that some limit counts; polls, results and cancels are none. */
export function isCounted(call: Call): boolean {
  return spends(call) || call.kind === "token" || call.kind === "upload";
}

/** Calls that stay open and are asked about while they do. */
export function isOpen({ kind }: Call): boolean {
  return kind === "stream" || kind === "realtime";
}

function slotsOf(call: Call, scopes: readonly Scope[]): Slot[] {
  const slots: Slot[] = [];
  for (const { jobs, streams } of scopes) {
    if (call.kind === "submit" && jobs !== undefined) slots.push(jobs);
    if (isOpen(call) && streams !== undefined) slots.push(streams);
  }
  return slots;
}

function scopesOf({ call, caller, endpoint }: LimitedCall, settings: Settings): Soon<readonly Scope[]> {
  return spends(call) || call.kind === "token" ? settings.scopes.of(caller, endpoint) : [];
}

function countersOf({ call, caller }: LimitedCall, scopes: readonly Scope[], settings: Settings): NamedCounter[] {
  if (call.kind !== "upload") return scopes.map(({ requests }) => requests).filter((counter) => counter !== undefined);
  if (settings.uploads === false) throw new ProxyError("uploads_refused");
  const { perMinute: max } = settings.uploads;
  const count = (label: string, name: string): NamedCounter =>
    createCounter(label, storeKey("uploads", name), { max, per: "minute" });
  const own = count("uploads", nameOfCaller(caller.hash));
  return caller.group === undefined ? [own] : [own, count("uploads-group", `group:${caller.group}`)];
}

const refusals: Readonly<Record<Refused["why"], ErrorCode>> = {
  rate: "rate_limited",
  slots: "too_many_open",
  budget: "budget_exceeded",
  paused: "paused",
  full: "store_full",
};

type Refused = Exclude<Admitted, { ok: true } | { why: "recall" }>;

function refuse(answer: Refused, counters: readonly NamedCounter[]): ProxyError {
  const code = refusals[answer.why];
  if (answer.why === "full")
    return new ProxyError(code, { log: "the store is full of open holds: raise maxKeys, or use a shared store" });
  if (answer.why === "slots") return new ProxyError(code, { headers: retryAfter(5000) });
  if (answer.why !== "rate") return new ProxyError(code);
  const hit = counters.filter(({ key }) => key === answer.key);
  const none = hit.map(() => ({ remaining: 0, resetMs: answer.retryAfterMs }));
  return new ProxyError(code, { headers: [...retryAfter(answer.retryAfterMs), ...rateHeaders(hit, none)] });
}
