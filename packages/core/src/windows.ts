import type { Counter } from "./store.ts";

/** Calls counted in the window that began at `start`, and in the one before. */
export interface Window {
  start: number;
  current: number;
  previous: number;
}

/** The sliding window: the last window counts by the part of it that is still within reach. */
export function windowOf(windows: ReadonlyMap<string, Window>, { key, windowMs }: Counter, now: number): Window {
  const start = now - (now % windowMs);
  const known = windows.get(key);
  if (known?.start === start) return known;
  const follows = known?.start === start - windowMs;
  return { start, current: 0, previous: follows ? known.current : 0 };
}

export function usedOf({ start, current, previous }: Window, windowMs: number, now: number): number {
  return current + previous * (1 - (now - start) / windowMs);
}

/** Milliseconds until one more fits, 0 when it does now. */
export function waitFor(windows: ReadonlyMap<string, Window>, counter: Counter, now: number): number {
  const window = windowOf(windows, counter, now);
  const { max, windowMs } = counter;
  if (usedOf(window, windowMs, now) + 1 <= max) return 0;
  const rest = window.start + windowMs - now;
  const excess = window.current + 1 - max;
  if (excess <= 0)
    return Math.max(1, Math.ceil(windowMs * (1 - -excess / Math.max(1, window.previous)) - (now - window.start)));
  return max < 1 ? rest : Math.ceil(rest + windowMs * Math.min(1, excess / Math.max(1, window.current)));
}
