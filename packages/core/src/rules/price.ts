import { ProxyError } from "../errors.ts";

/**
 * What a call costs, in US dollars.
 *
 * - `{ perCall: 0.04 }`: each call.
 * - `{ perUnit: 0.025, reserveUnits: 4 }`: times fal's `x-fal-billable-units`; `reserveUnits` (default 1) is set aside until they are known.
 */
export type PriceOption = { readonly perCall: number } | { readonly perUnit: number; readonly reserveUnits?: number };

/** Money is counted in whole micro-USD: 1,000,000 are one dollar. */
export type Micros = number;

/** A price, ready to be applied. */
export interface Price {
  /** Set aside before the call. */
  readonly reserve: Micros;
  /** Undefined for a price per call. */
  readonly perUnit: Micros | undefined;
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
  const { perCall, perUnit, reserveUnits }: Record<string, unknown> =
    typeof option === "object" && option !== null ? { ...option } : {};
  if (isAmount(perCall) && perUnit === undefined && reserveUnits === undefined)
    return { reserve: toMicros(perCall), perUnit: undefined };
  if (isAmount(perUnit) && perCall === undefined && (reserveUnits === undefined || isAmount(reserveUnits))) {
    return { reserve: unitsCost(toMicros(perUnit), reserveUnits ?? 1), perUnit: toMicros(perUnit) };
  }
  throw new ProxyError("invalid_option", {
    message: `Keyway: the price of "${pattern}" is { perCall: 0.04 } or { perUnit: 0.025, reserveUnits: 4 }, in US dollars.`,
  });
}

function isAmount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 && value <= 1e6;
}
