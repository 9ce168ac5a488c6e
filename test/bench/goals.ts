import { type Measure, type Results, medianOf, ratioOf } from "./results.ts";

/** One line of what the project wants to reach. */
export interface Goal {
  readonly name: string;
  readonly must: number;
  readonly goal: number;
  /** Whether more is better. */
  readonly more: boolean;
  /** Aims are times of the machine that they were set on, so they are stretched by how much slower this one is: see {@link paceOf}. */
  readonly time?: true;
  readonly value: (results: Results) => number | undefined;
}

const us = "keyway express";
const official = "official (express)";
const middleware = "http-proxy-middleware";

function times(measure: Measure, to: string, peer = us): Goal["value"] {
  return (results) => ratioOf(results, measure, peer, to);
}

function above(measure: Measure, base: string): Goal["value"] {
  return (results) => {
    const [mine, theirs] = [medianOf(results, us, measure), medianOf(results, base, measure)];
    return mine === undefined || theirs === undefined ? undefined : mine - theirs;
  };
}

function most(...measures: Measure[]): Goal["value"] {
  return (results) => {
    const values = measures.map((measure) => medianOf(results, us, measure)).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : Math.max(...values);
  };
}

export const goals: readonly Goal[] = [
  { name: "GET per second, × official", must: 3, goal: 3.8, more: true, value: times("get", official) },
  {
    name: "GET per second, × http-proxy-middleware",
    must: 1.8,
    goal: 2.2,
    more: true,
    value: times("get", middleware),
  },
  { name: "POST 1 KB per second, × official", must: 4.5, goal: 6, more: true, value: times("post", official) },
  {
    name: "POST 1 KB per second, × http-proxy-middleware",
    must: 2,
    goal: 2.6,
    more: true,
    value: times("post", middleware),
  },
  { name: "CPU per GET, × nginx", must: 5.2, goal: 4.4, more: false, value: times("getCpu", "nginx") },
  {
    name: "one connection, p50 above nginx, µs",
    must: 80,
    goal: 55,
    more: false,
    time: true,
    value: above("one", "nginx"),
  },
  {
    name: "SvelteKit, GET per second, × the same on fetch",
    must: 1.6,
    goal: 2,
    more: true,
    value: times("get", "keyway sveltekit, on fetch", "keyway sveltekit"),
  },
  { name: "1 MB answers per second, × official", must: 1.7, goal: 1.8, more: true, value: times("megabyte", official) },
  {
    name: "100 MB down, memory rise MB, the slow reader too",
    must: 50,
    goal: 42,
    more: false,
    value: most("down", "downSlow"),
  },
  {
    name: "100 MB up, memory rise MB, the slow upstream too",
    must: 60,
    goal: 50,
    more: false,
    value: most("up", "upSlow"),
  },
  {
    name: "events on 500 streams, added p50 µs",
    must: 160,
    goal: 136,
    more: false,
    time: true,
    value: above("delay", "no proxy"),
  },
  { name: "events, CPU × nginx", must: 2.7, goal: 2.4, more: false, value: times("eventCpu", "nginx") },
  {
    name: "first event of 500 streams, p99 ms",
    must: 45,
    goal: 35,
    more: false,
    time: true,
    value: most("firstEvent"),
  },
  {
    name: "WebSocket messages per second, × nginx",
    must: 0.62,
    goal: 0.7,
    more: true,
    value: times("messages", "nginx"),
  },
  { name: "idle WebSocket, kB", must: 16, goal: 9, more: false, value: most("idleSocket") },
  { name: "GET by TLS upstream, CPU × nginx", must: 4.2, goal: 3.7, more: false, value: times("tlsCpu", "nginx") },
  { name: "caller leaves, upstream closed within ms", must: 100, goal: 100, more: false, value: most("closedWithin") },
];

/** CPU of nginx per status poll on the machine that the aims were set on, µs. */
export const nginxThere = 11.7;

/** How many times as long as there nginx takes for a status poll here; 1 where that was not measured. */
export function paceOf(results: Results): number {
  return (medianOf(results, "nginx", "getCpu") ?? nginxThere) / nginxThere;
}

/** The aims as they stand on a machine of this pace. */
export function aimsOn(pace: number, { must, goal, time }: Goal): Pick<Goal, "must" | "goal"> {
  return time === true ? { must: must * pace, goal: goal * pace } : { must, goal };
}

export function verdictOf(
  { must, goal, more }: Pick<Goal, "must" | "goal" | "more">,
  value: number,
): "goal" | "must" | "missed" {
  const reaches = (bar: number): boolean => (more ? value >= bar : value <= bar);
  return reaches(goal) ? "goal" : reaches(must) ? "must" : "missed";
}
