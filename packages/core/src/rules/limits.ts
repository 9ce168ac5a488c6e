import type { Call } from "../call.ts";
import { type ErrorCode, ProxyError, retryAfter } from "../errors.ts";
import type { HeaderList } from "../head.ts";
import type { Settings } from "../options.ts";
import type { Admission, Admitted, Counter, Hold, Outcome, Slot } from "../store.ts";
import type { KnownCaller } from "./caller.ts";
import type { Endpoint } from "./endpoint.ts";
import { accountOf } from "./account.ts";
import type { LimitSet } from "./limit-set.ts";
import type { Micros, Price } from "./price.ts";
import { rateHeaders } from "./rate-headers.ts";

const windows = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;

/** What a call asks for. */
export interface Request {
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

/** One set of limits and whom it holds for. */
interface Scope {
  readonly name: string;
  readonly label: string;
  readonly limits: LimitSet;
}

/** Asks the store for rates alone, before a body is read. */
export async function admitRates(request: Request, settings: Settings): Promise<HeaderList> {
  const counters = countersOf(request, await scopesOf(request, settings), settings);
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
export async function admitCall(request: Request, ask: Ask, settings: Settings): Promise<Grant> {
  if (!isCounted(request.call)) return nothing;
  const scopes = await scopesOf(request, settings);
  const counters = ask.rates ? countersOf(request, scopes, settings) : [];
  const hold = holdOf(request, scopes, ask, settings);
  const gate = await gateKey(settings);
  const { headers, recalled } = await askStore({ gate, recall: ask.recall, counters, hold }, settings);
  return { hold: recalled === undefined ? hold : undefined, headers, recalled };
}

/** While something stands here, nothing that spends is admitted. */
export async function gateKey(settings: Settings): Promise<string> {
  const hash = settings.hashes.of("gate");
  return `keyway:2:paused:${typeof hash === "string" ? hash : await hash}`;
}

async function askStore(
  admission: Admission,
  settings: Settings,
): Promise<{ headers: HeaderList; recalled: string | undefined }> {
  if (admission.counters.length === 0 && admission.hold === undefined) return { headers: [], recalled: undefined };
  const answer = await askToAdmit(admission, settings);
  if (answer.ok) return { headers: rateHeaders(admission.counters, answer.allowances), recalled: undefined };
  if (answer.why === "recall") return { headers: [], recalled: answer.value };
  throw refuse(answer, admission);
}

/** A store that was too slow may still have taken the hold, so it is given back. */
async function askToAdmit(admission: Admission, settings: Settings): Promise<Admitted> {
  try {
    return await settings.askStore((store) => store.admit(admission));
  } catch (error) {
    const { hold } = admission;
    if (hold !== undefined)
      settings.askStore((store) => store.settle({ hold: hold.id }, "release")).catch(() => undefined);
    throw error;
  }
}

/** What a finished call came to; undefined when it does not end a job. */
export function outcomeOf(
  kind: Call["kind"],
  status: number,
  units: number | undefined,
  unrun: boolean,
): Outcome | undefined {
  if (kind === "submit") return status >= 200 && status < 300 ? undefined : "release";
  if (kind === "realtime") return status === 101 ? {} : "release";
  const gateway = [401, 403, 404, 405, 429].includes(status);
  if (kind === "result" && (gateway || status === 400 || status < 200)) return undefined;
  if (status >= 500 || gateway || units === 0 || (status === 499 && unrun)) return "release";
  return { units };
}

function holdOf(
  { call, price }: Request,
  scopes: readonly Scope[],
  { micros, places }: Ask,
  settings: Settings,
): Hold | undefined {
  if (!spends(call)) return undefined;
  const slots = places ? scopes.flatMap(({ name, limits }) => slotOf(call, name, limits)) : [];
  if (slots.length === 0 && micros === undefined) return undefined;
  const { connect, finish, head, jobLease, openLease, runHead, streamIdle } = settings.timeouts;
  // A job's lease begins when its submit is answered: until then a crash must not hold its place for a day.
  const submitLease = openLease + connect + head + finish;
  const leaseMs = isOpen(call)
    ? openLease
    : call.kind === "submit"
      ? Math.min(jobLease, submitLease)
      : runHead + streamIdle;
  const counted = scopes.filter(({ label, limits }) => countsMoney(call, label, limits, micros));
  const now = settings.now();
  const accounts = counted.map(({ name, limits }) => accountOf(name, limits.budget, now));
  const { perUnit, perSecond } = price ?? { perUnit: undefined, perSecond: undefined };
  // Node makes a UUID of twenty pieces that stay apart in memory; replacing makes it one string.
  const id = crypto.randomUUID().replaceAll("-", "");
  return { id, micros: micros ?? 0, perUnit, perSecond, accounts, slots, leaseMs };
}

/** A job without a price stands in the accounts too, at no cost: that is where open jobs are looked for. */
function countsMoney(call: Call, label: string, { budget }: LimitSet, micros: Micros | undefined): boolean {
  const always = label === "caller" || label === "global";
  return micros === undefined ? always && call.kind === "submit" : always || budget !== undefined;
}

/** Calls that cost something or take a place. */
export function spends({ kind }: Call): boolean {
  return kind === "run" || kind === "stream" || kind === "submit" || kind === "realtime";
}

/** Calls that some limit counts; polls, results and cancels are none. */
function isCounted(call: Call): boolean {
  return spends(call) || call.kind === "token" || call.kind === "upload";
}

const nothing: Grant = { hold: undefined, headers: [], recalled: undefined };

/** Calls that stay open and are asked about while they do. */
export function isOpen({ kind }: Call): boolean {
  return kind === "stream" || kind === "realtime";
}

function slotOf(call: Call, name: string, { jobs, streams }: LimitSet): Slot[] {
  if (call.kind === "submit" && jobs !== undefined) return [{ key: `keyway:2:jobs:${name}`, max: jobs }];
  if (isOpen(call) && streams !== undefined) return [{ key: `keyway:2:streams:${name}`, max: streams }];
  return [];
}

async function scopesOf({ call, caller, endpoint }: Request, settings: Settings): Promise<readonly Scope[]> {
  if (!spends(call) && call.kind !== "token") return [];
  const hash = settings.hashes.of("global");
  const everybody = typeof hash === "string" ? hash : await hash;
  const scopes: Scope[] = [
    { name: `caller:${caller.hash}`, label: "caller", limits: caller.limits },
    { name: `global:${everybody}`, label: "global", limits: settings.limits.global },
  ];
  if (caller.group !== undefined) scopes.push({ name: `group:${caller.group}`, label: "group", limits: caller.limits });
  if (endpoint?.limits === undefined) return scopes;
  const pattern = await settings.hashes.of(`endpoint ${endpoint.pattern}`);
  const { caller: own, global } = endpoint.limits;
  if (own !== undefined)
    scopes.push({ name: `endpoint:${pattern}:caller:${caller.hash}`, label: "endpoint", limits: own });
  if (global !== undefined) scopes.push({ name: `endpoint:${pattern}`, label: "endpoint-global", limits: global });
  return scopes;
}

function countersOf(
  { call, caller }: Request,
  scopes: readonly Scope[],
  settings: Settings,
): readonly (Counter & { label: string })[] {
  if (call.kind === "upload") {
    if (settings.uploads === false) throw new ProxyError("uploads_refused");
    return [
      {
        key: `keyway:2:uploads:caller:${caller.hash}`,
        max: settings.uploads.perMinute,
        windowMs: windows.minute,
        label: "uploads",
      },
    ];
  }
  return scopes.flatMap(({ name, label, limits: { requests } }) =>
    requests === undefined
      ? []
      : [
          {
            key: `keyway:2:requests:${requests.per}:${name}`,
            max: requests.max,
            windowMs: windows[requests.per],
            label,
          },
        ],
  );
}

const refusals: Readonly<Record<Refused["why"], ErrorCode>> = {
  rate: "rate_limited",
  slots: "too_many_open",
  budget: "budget_exceeded",
  paused: "paused",
  full: "store_full",
};

type Refused = Exclude<Admitted, { ok: true } | { why: "recall" }>;

function refuse(answer: Refused, { counters }: Admission): ProxyError {
  const code = refusals[answer.why];
  if (answer.why === "full")
    return new ProxyError(code, { log: "the store is full of open holds: raise maxKeys, or use a shared store" });
  if (answer.why === "slots") return new ProxyError(code, { headers: retryAfter(5000) });
  if (answer.why !== "rate") return new ProxyError(code);
  const hit = counters.filter(({ key }) => key === answer.key);
  const none = hit.map(() => ({ remaining: 0, resetMs: answer.retryAfterMs }));
  return new ProxyError(code, { headers: [...retryAfter(answer.retryAfterMs), ...rateHeaders(hit, none)] });
}
