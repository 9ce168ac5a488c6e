import type { Workload } from "./peers.ts";

/** What was measured, by name; every figure has its unit in {@link measures}. */
export type Measure = keyof typeof measures;

/** The rows of the table, in their order. */
export const measures = {
  get: "GET 200 B, 64 connections: per second",
  getCpu: "GET 200 B: CPU µs",
  one: "GET 200 B, 1 connection: p50 µs",
  post: "POST 1 KB, 64 connections: per second",
  postCpu: "POST 1 KB: CPU µs",
  megabyte: "1 MB answers, 16 connections: per second",
  megabyteCpu: "1 MB answers: CPU µs",
  laterCpu: "GET 200 B, after streams and WebSockets: CPU µs",
  tlsCpu: "GET 200 B, upstream by TLS: CPU µs",
  delay: "events on many streams: delay p50 µs",
  eventCpu: "events: CPU µs",
  firstEvent: "first event, all streams at once: p99 ms",
  closedWithin: "caller leaves, upstream closed: within ms",
  messages: "WebSocket echo 1 KB, 100 sockets: per second",
  messageCpu: "WebSocket echo: CPU µs",
  down: "large answer: memory rise MB",
  downSlow: "large answer, slow reader: memory rise MB",
  up: "large request: memory rise MB",
  upSlow: "large request, slow upstream: memory rise MB",
  idleSocket: "idle WebSocket: kB",
  idleStream: "idle event stream: kB",
} as const;

export interface Problem {
  readonly peer: string;
  readonly workload: Workload | "start";
  readonly says: string;
  readonly ours: boolean;
}

/** All figures of one run, round by round. */
export interface Results {
  readonly figures: Map<string, Map<Measure, number[]>>;
  readonly problems: Problem[];
}

export function note(results: Results, peer: string, figures: Partial<Record<Measure, number>>): void {
  let rows = results.figures.get(peer);
  if (rows === undefined) results.figures.set(peer, (rows = new Map()));
  for (const [measure, value] of Object.entries(figures) as [Measure, number][]) {
    const rounds = rows.get(measure) ?? [];
    rows.set(measure, [...rounds, value]);
  }
}

export function medianOf(results: Results, peer: string, measure: Measure): number | undefined {
  return median(results.figures.get(peer)?.get(measure) ?? []);
}

/** The median over the rounds of one peer's figure divided by another's. */
export function ratioOf(results: Results, measure: Measure, peer: string, to: string): number | undefined {
  const [mine, theirs] = [peer, to].map((name) => results.figures.get(name)?.get(measure) ?? []);
  if (mine === undefined || theirs === undefined) return undefined;
  return median(mine.slice(0, theirs.length).map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

function median(values: readonly number[]): number | undefined {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
