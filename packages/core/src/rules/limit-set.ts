import { isAmount } from "./price.ts";
import { withDefaults } from "../with-defaults.ts";

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
  /** Reads of one job per second: its status, status stream and result. Default 15, more than any official client makes. */
  readonly pollsPerSecond?: number;
}

/** Limits, resolved: a caller always has some, so that one alone cannot take everything. */
export interface Limits {
  readonly caller: LimitSet;
  readonly global: LimitSet;
  readonly pollsPerSecond: number;
}

const generous: LimitSet = { requests: { max: 6000, per: "minute" }, jobs: 1000, streams: 2000 };

export function resolveLimits(option: LimitsOption | undefined): Limits {
  return {
    caller: withDefaults(option?.caller, generous),
    global: option?.global ?? {},
    pollsPerSecond: option?.pollsPerSecond ?? 15,
  };
}

const names = ["budget", "requests", "jobs", "streams"];

/** The first mistake in a set of limits, with the line to write; undefined for none. `place` is how the app calls it. */
export function whyNotLimits(place: string, set: unknown): string | undefined {
  if (typeof set !== "object" || set === null)
    return `${place} is an object: { requests: { max: 100, per: "minute" } }`;
  for (const name of Object.keys(set)) if (!names.includes(name)) return `${place} has ${names.join(", ")}, no ${name}`;
  const { budget, requests, jobs, streams }: Record<string, unknown> = { ...set };
  if (budget !== undefined && !isBudget(budget))
    return `${place}.budget is money in US dollars: budget: { usd: 5, per: "day" }`;
  if (requests !== undefined && !isRate(requests))
    return `${place}.requests is a rate: requests: { max: 100, per: "minute" }`;
  for (const [name, places] of Object.entries({ jobs, streams }))
    if (places !== undefined && !isCount(places)) return `${place}.${name} is how many at once: ${name}: 10`;
  return undefined;
}

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function isBudget(value: unknown): boolean {
  const { usd, per }: { usd?: unknown; per?: unknown } = typeof value === "object" ? { ...value } : {};
  return isAmount(usd) && (per === "day" || per === "month");
}

function isRate(value: unknown): boolean {
  const { max, per }: { max?: unknown; per?: unknown } = typeof value === "object" ? { ...value } : {};
  const known = per === "second" || per === "minute" || per === "hour" || per === "day";
  return known && isCount(max);
}
