import { ProxyError } from "../errors.ts";
import type { Soon } from "../soon.ts";
import { type Input, checkInput } from "./input.ts";

/** Computes a price from the input, in US dollars. */
export type PriceFunction = (input: Input, context: { readonly endpoint: string }) => number | Promise<number>;

/**
 * What a call costs, in US dollars. It is set aside before the call and settled when the actual cost is known.
 *
 * - `{ perCall: 0.04 }`: each call. `{ perCall: 0 }` says that an endpoint is free.
 * - `{ perUnit: 0.025, reserveUnits: 4 }`: times fal's `x-fal-billable-units`; `reserveUnits` (default 1) are set aside.
 * - `{ perSecond: 0.001, reserveSeconds: 60 }`: times the seconds of inference that fal reports; `reserveSeconds` (default 60) are set aside.
 * - `{ perMinute: 0.06 }`: streams and sockets, each begun minute; other calls cost one minute.
 * - `(input) => 0.04 * Number(input.num_images ?? 1)`: each call by its input.
 */
export type PriceOption =
  | { readonly perCall: number }
  | { readonly perUnit: number; readonly reserveUnits?: number }
  | { readonly perSecond: number; readonly reserveSeconds?: number }
  | { readonly perMinute: number }
  | PriceFunction;

/** Money is counted in whole micro-USD: 1,000,000 are one dollar. */
export type Micros = number;

/** A price, ready to be applied. */
export interface Price {
  /** Set aside before the call; a function looks at the input. */
  readonly reserve: Micros | PriceFunction;
  readonly perUnit: Micros | undefined;
  readonly perSecond: Micros | undefined;
  /** Set aside again for each further minute of a stream or socket. */
  readonly perMinute: Micros | undefined;
}

/** Rounded up, so that nothing is free. */
export function toMicros(usd: number): Micros {
  return Math.ceil(Math.round(usd * 1e9) / 1e3);
}

/** Rounded up to whole micro-USD, and never more than a number can count. */
export function unitsCost(perUnit: Micros, units: number): Micros {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(Math.round(perUnit * units * 1e3) / 1e3));
}

export function resolvePrice(option: unknown, pattern: string): Price {
  const none = { perUnit: undefined, perSecond: undefined, perMinute: undefined };
  if (typeof option === "function") return { ...none, reserve: option as PriceFunction };
  const fields: Record<string, unknown> = typeof option === "object" && option !== null ? { ...option } : {};
  const amount = (name: string): number | undefined => (isAmount(fields[name]) ? fields[name] : undefined);
  const has = (...names: string[]): boolean =>
    Object.keys(fields).every((name) => names.includes(name) && isAmount(fields[name]));
  const { perCall, perUnit, perSecond, perMinute } = {
    perCall: amount("perCall"),
    perUnit: amount("perUnit"),
    perSecond: amount("perSecond"),
    perMinute: amount("perMinute"),
  };
  if (perCall !== undefined && has("perCall")) return { ...none, reserve: toMicros(perCall) };
  if (perUnit !== undefined && has("perUnit", "reserveUnits")) {
    return { ...none, reserve: unitsCost(toMicros(perUnit), amount("reserveUnits") ?? 1), perUnit: toMicros(perUnit) };
  }
  if (perSecond !== undefined && has("perSecond", "reserveSeconds")) {
    return {
      ...none,
      reserve: unitsCost(toMicros(perSecond), amount("reserveSeconds") ?? 60),
      perSecond: toMicros(perSecond),
    };
  }
  if (perMinute !== undefined && has("perMinute"))
    return { ...none, reserve: toMicros(perMinute), perMinute: toMicros(perMinute) };
  throw new ProxyError("invalid_option", {
    message: `Keyway: the price of "${pattern}" is { perCall: 0.04 }, { perUnit: 0.025, reserveUnits: 4 }, { perSecond: 0.001, reserveSeconds: 60 }, { perMinute: 0.06 } or (input) => 0.04, in US dollars.`,
  });
}

/** Stated to cost nothing, whatever is called and for how long. */
export function isFree({ reserve, perUnit, perSecond, perMinute }: Price): boolean {
  return reserve === 0 && !perUnit && !perSecond && !perMinute;
}

/** What to set aside; a price function that fails or answers no amount refuses the call. */
export function reserveOf({ reserve }: Price, input: unknown, endpoint: string): Soon<Micros> {
  return typeof reserve === "number" ? reserve : askForPrice(reserve, input, endpoint);
}

async function askForPrice(reserve: PriceFunction, input: unknown, endpoint: string): Promise<Micros> {
  checkInput(input);
  try {
    const usd = await reserve(input, { endpoint });
    if (isAmount(usd)) return toMicros(usd);
  } catch (cause) {
    throw new ProxyError("input_rule_failed", { cause, log: `the price of ${endpoint} could not be computed` });
  }
  throw new ProxyError("input_rule_failed", {
    log: `the price function of ${endpoint} must return US dollars as a number`,
  });
}

/** Money that may be stated, in US dollars. */
export function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 && value <= 1e6;
}
