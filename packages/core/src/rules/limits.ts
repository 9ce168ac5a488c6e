import type { Call } from "../call.ts";
import { type ErrorCode, ProxyError, retryAfter } from "../errors.ts";
import type { HeaderList } from "../head.ts";
import type { Settings } from "../options.ts";
import type { Account, Admission, Admitted, Allowance, Counter, Hold, Outcome, Slot } from "../store.ts";
import type { KnownCaller } from "./caller.ts";
import type { Endpoint } from "./endpoint.ts";
import { type Micros, type Price, toMicros } from "./price.ts";

/** Money per calendar period, UTC. */
export interface BudgetOption {
  readonly usd: number;
  readonly per: "day" | "month";
}

/** Calls that spend (run, stream, submit, realtime, token) per window. */
export interface RateOption {
  readonly max: number;
  readonly per: "second" | "minute" | "hour" | "day";
}

/** What one scope may do. */
export interface LimitSet {
  readonly budget?: BudgetOption;
  readonly requests?: RateOption;
  /** Jobs in the queue or at work at the same time. */
  readonly jobs?: number;
  /** Streams and sockets open at the same time. */
  readonly streams?: number;
}

/** Limits for each caller and for all together. */
export interface LimitsOption {
  readonly caller?: LimitSet;
  readonly global?: LimitSet;
  /** Status reads of one job per second. Default 15, more than any official client makes. */
  readonly pollsPerSecond?: number;
}

/** Limits, resolved: a caller always has some, so that one alone cannot take everything. */
export interface Limits {
  readonly caller: LimitSet;
  readonly global: LimitSet;
  readonly pollsPerSecond: number;
}

const windows = { second: 1000, minute: 60_000, hour: 3_600_000, day: 86_400_000 } as const;
const generous: LimitSet = { requests: { max: 6000, per: "minute" }, jobs: 1000, streams: 2000 };

export function resolveLimits(option: LimitsOption | undefined): Limits {
  return {
    caller: { ...generous, ...stated(option?.caller) },
    global: option?.global ?? {},
    pollsPerSecond: option?.pollsPerSecond ?? 15,
  };
}

/** Without what is undefined, which would take a default away. */
function stated(set: LimitSet | undefined): LimitSet {
  return Object.fromEntries(Object.entries(set ?? {}).filter(([, value]) => value !== undefined));
}

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
  const scopes = await scopesOf(request, settings);
  const counters = ask.rates ? countersOf(request, scopes, settings) : [];
  const hold = holdOf(request, scopes, ask, settings);
  const gate = await gateKey(settings);
  const { headers, recalled } = await askStore({ gate, recall: ask.recall, counters, hold }, settings);
  return { hold: recalled === undefined ? hold : undefined, headers, recalled };
}

/** While something stands here, nothing that spends is admitted. */
export async function gateKey(settings: Settings): Promise<string> {
  return `keyway:2:paused:${await settings.hashes.of("gate")}`;
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

/** The account that a caller's own money is counted on. */
export function accountOfCaller(callerHash: string, settings: Settings, at: number = settings.now()): Account {
  return accountOf(`caller:${callerHash}`, settings.limits.caller.budget, at);
}

/** The account that everybody's money is counted on. */
export async function accountOfAll(settings: Settings, at: number = settings.now()): Promise<Account> {
  return accountOf(`global:${await settings.hashes.of("global")}`, settings.limits.global.budget, at);
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
  return { id: crypto.randomUUID(), micros: micros ?? 0, perUnit, perSecond, accounts, slots, leaseMs };
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
  const everybody = await settings.hashes.of("global");
  const scopes: Scope[] = [
    { name: `caller:${caller.hash}`, label: "caller", limits: settings.limits.caller },
    { name: `global:${everybody}`, label: "global", limits: settings.limits.global },
  ];
  if (caller.group !== undefined)
    scopes.push({ name: `group:${caller.group}`, label: "group", limits: settings.limits.caller });
  if (endpoint?.limits === undefined) return scopes;
  const pattern = await settings.hashes.of(`endpoint ${endpoint.pattern}`);
  const { caller: own, global } = endpoint.limits;
  if (own !== undefined)
    scopes.push({ name: `endpoint:${pattern}:caller:${caller.hash}`, label: "endpoint", limits: own });
  if (global !== undefined) scopes.push({ name: `endpoint:${pattern}`, label: "endpoint-global", limits: global });
  return scopes;
}

function accountOf(name: string, budget: BudgetOption | undefined, at: number): Account {
  const { label, until } = periodOf(budget?.per ?? "day", at);
  return {
    key: `keyway:2:money:${name}:${label}`,
    limit: budget === undefined ? undefined : toMicros(budget.usd),
    until,
  };
}

/** A day or month, UTC. */
interface Period {
  readonly label: string;
  readonly from: number;
  readonly until: number;
}

const lastPeriods = new Map<BudgetOption["per"], Period>();

/** Nearly every call falls into the period of the call before. */
function periodOf(per: BudgetOption["per"], at: number): Period {
  const last = lastPeriods.get(per);
  if (last !== undefined && last.from <= at && at < last.until) return last;
  const date = new Date(at);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const label = date.toISOString();
  const period =
    per === "month"
      ? { label: label.slice(0, 7), from: Date.UTC(year, month, 1), until: Date.UTC(year, month + 1, 1) }
      : { label: label.slice(0, 10), from: Date.UTC(year, month, day), until: Date.UTC(year, month, day + 1) };
  lastPeriods.set(per, period);
  return period;
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

/** RateLimit-Policy and RateLimit (IETF draft-ietf-httpapi-ratelimit-headers). */
function rateHeaders(
  counters: readonly (Counter & { label?: string })[],
  allowances: readonly Allowance[],
): HeaderList {
  if (counters.length === 0) return [];
  const name = (counter: Counter & { label?: string }): string => `"${counter.label ?? "rate"}"`;
  const policy = counters.map((counter) => `${name(counter)};q=${counter.max};w=${Math.ceil(counter.windowMs / 1000)}`);
  const left = counters.map((counter, index) => {
    const { remaining, resetMs } = allowances[index] ?? { remaining: 0, resetMs: 0 };
    return `${name(counter)};r=${remaining};t=${Math.ceil(resetMs / 1000)}`;
  });
  return [
    ["ratelimit-policy", policy.join(", ")],
    ["ratelimit", left.join(", ")],
  ];
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
