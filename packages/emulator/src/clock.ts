import { setImmediate, setTimeout } from "node:timers/promises";

/** Time as the emulator tells it, and waits that its `timeScale` shortens. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Waits `ms` times the scale; rejects with an AbortError when the signal fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const longestTimer = 2 ** 31 - 1;

/** Milliseconds that a timer can hold: longer ones would fire at once. */
export function toTimer(ms: number): number {
  return Math.min(ms, longestTimer);
}

export function createClock(now: () => number, timeScale: number): Clock {
  return {
    now,
    async sleep(ms, signal) {
      const wait = toTimer(Math.max(0, ms) * timeScale);
      await (wait > 0 ? setTimeout(wait, undefined, { signal }) : setImmediate(undefined, { signal }));
    },
  };
}

/** The naive ISO time with microseconds that fal's logs carry, such as `2024-12-20T15:37:17.120314`. */
export function toLogTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, -1)}000`;
}

/** Waits in real time, whatever the scale; false when the signal fired first. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await setTimeout(toTimer(ms), undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
