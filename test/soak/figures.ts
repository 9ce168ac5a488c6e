import type { Sample } from "./proxy.ts";

/** A sample and when it was taken. */
export interface Taken extends Sample {
  /** Minutes since the load began. */
  readonly at: number;
  readonly isCollected: boolean;
}

/** What a run may grow by. A slope is in MiB a minute, a drift the share by which the last part's mean may pass the first part's. */
export interface Bounds {
  /** The part of the run, in minutes, that is looked at. */
  readonly from: number;
  readonly heapSlope: number;
  readonly rssSlope: number;
  readonly drift: number;
}

const mib = 1024 * 1024;

/** Least squares: what is added each minute. */
function slope(points: readonly (readonly [minute: number, bytes: number])[]): number {
  const meanX = mean(points.map(([x]) => x));
  const meanY = mean(points.map(([, y]) => y));
  const over = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  const under = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  return under === 0 ? 0 : over / under / mib;
}

/** By how much the last fifth's mean passes the first fifth's. */
function drift(values: readonly number[]): number {
  const part = Math.max(1, Math.floor(values.length / 5));
  return mean(values.slice(-part)) / mean(values.slice(0, part)) - 1;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** One thing that the run must show. */
export interface Check {
  readonly name: string;
  readonly holds: boolean;
}

/** Memory over the run against its bounds. */
export function judgeMemory(samples: readonly Taken[], bounds: Bounds): Check[] {
  const late = samples.filter(({ at }) => at >= bounds.from);
  const heap = late.filter(({ isCollected }) => isCollected);
  const heapSlope = slope(heap.map(({ at, heapUsed }) => [at, heapUsed]));
  const rssSlope = slope(late.map(({ at, rss }) => [at, rss]));
  const heapDrift = drift(heap.map(({ heapUsed }) => heapUsed));
  const peak = Math.max(...samples.map(({ rss }) => rss)) / mib;
  return [
    {
      name: `heap after collection ${signed(heapSlope)} MiB/min (bound ${bounds.heapSlope}), ${heap.length} samples`,
      holds: heap.length >= 4 && heapSlope < bounds.heapSlope,
    },
    {
      name: `resident ${signed(rssSlope)} MiB/min (bound ${bounds.rssSlope}), at most ${peak.toFixed(0)} MiB`,
      holds: late.length >= 8 && rssSlope < bounds.rssSlope,
    },
    {
      name: `heap at the end ${signed(heapDrift * 100)} % of the beginning (bound ${bounds.drift * 100} %)`,
      holds: heapDrift < bounds.drift,
    },
  ];
}

function signed(number: number): string {
  return `${number < 0 ? "" : "+"}${number.toFixed(2)}`;
}
