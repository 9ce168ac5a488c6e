/**
 * What the rules cost, in µs of CPU: `node --conditions @keyway/source test/guard/cost.ts`. The same calls are decided with all rules
 * on and with as few as can be, in turns, in one run; nothing is sent anywhere.
 */
import { type Door, type Exchange, type Keyway, type KeywayOptions, createKeyway } from "@keyway/core";
import { digests } from "../../packages/node/src/digests.ts";

const upstream = { url: "http://127.0.0.1:9", key: "none:0123456789abcdef" };
const callers = 50;
const jobsEach = 20;
const json = [["content-type", "application/json"]] as const;

const ruled: KeywayOptions = {
  authorize: ({ cookie }) => ({ id: cookie("session") ?? "" }),
  endpoints: { "demo/**": { price: { perUnit: 0.001, reserveUnits: 4 } } },
  limits: {
    caller: {
      requests: { max: 1e9, per: "minute" },
      budget: { usd: 1e6, per: "day" },
      jobs: 1e9,
    },
    global: { budget: { usd: 1e6, per: "day" }, requests: { max: 1e9, per: "minute" } },
    pollsPerSecond: 1e9,
  },
  upstream,
};

/** Who calls, which endpoint, whose job, how often: none of it is asked. */
const free: KeywayOptions = {
  authorize: "public",
  endpoints: "any",
  ownership: "app",
  limits: { caller: {}, pollsPerSecond: 1e9 },
  store: {
    admit: async ({ counters }) => ({ ok: true, allowances: counters.map(() => ({ remaining: 1, resetMs: 1 })) }),
    bind: async () => undefined,
    mark: async () => undefined,
    listed: async () => [],
    end: async () => null,
    settle: async () => null,
    extend: async () => true,
    correct: async () => null,
    balances: async () => [],
    openJobs: async () => [],
    claim: async () => true,
    put: async () => undefined,
    get: async () => null,
    remove: async () => undefined,
    close: async () => undefined,
  },
  upstream,
};

function doorOf(method: string, target: string, caller: string): Door {
  return {
    head: {
      method,
      path: "/api/fal/proxy",
      query: null,
      mount: "/api/fal/proxy",
      headers: [
        ["host", "127.0.0.1:3000"],
        ["accept", "application/json"],
        ["cookie", `theme=dark; session=${caller}`],
        ["sec-fetch-site", "same-origin"],
        ["x-fal-target-url", target],
        ...(method === "POST" ? ([...json, ["content-length", "2"]] as const) : []),
      ],
      address: "127.0.0.1",
      secure: false,
      upgrade: false,
    },
    native: undefined,
    codings: "pass",
    closing: false,
    body: async () => Buffer.from("{}"),
    isGone: () => false,
    waitUntil: () => undefined,
  };
}

const used = { status: 200, bytesIn: 2, bytesOut: 100 };
let number = 0;

async function submit(keyway: Keyway, caller: string): Promise<string> {
  number += 1;
  const exchange = await exchangeOf(keyway, doorOf("POST", "https://queue.fal.run/demo/echo", caller));
  exchange.head({ status: 200, headers: json });
  const id = `019e161b-386c-7d33-8e2f-${String(number).padStart(12, "0")}`;
  const { body } = await exchange.collected(Buffer.from(JSON.stringify({ status: "IN_QUEUE", request_id: id })));
  exchange.end("complete", used);
  return (JSON.parse(new TextDecoder().decode(body)) as { request_id: string }).request_id;
}

const answer = Buffer.from('{"status":"IN_PROGRESS","request_id":"019e161b-386c-7d33-8e2f-000000000000","logs":null}');

async function poll(keyway: Keyway, caller: string, id: string): Promise<void> {
  const target = `https://queue.fal.run/demo/echo/requests/${id}/status?logs=0`;
  const exchange = await exchangeOf(keyway, doorOf("GET", target, caller));
  const { body } = exchange.head({ status: 202, headers: json });
  if (typeof body === "object" && "push" in body) {
    body.push(answer);
    body.end();
  }
  exchange.end("complete", used);
}

/** The job ends, so that the store is not measured with what no app ever holds open. */
async function finish(keyway: Keyway, caller: string, id: string): Promise<void> {
  const exchange = await exchangeOf(keyway, doorOf("GET", `https://queue.fal.run/demo/echo/requests/${id}`, caller));
  exchange.head({ status: 200, headers: [...json, ["x-fal-billable-units", "1"]] });
  exchange.end("complete", used);
}

async function exchangeOf(keyway: Keyway, door: Door): Promise<Exchange> {
  const decided = await keyway.plan(door);
  if (decided.type === "answer") throw new Error(new TextDecoder().decode(decided.body));
  return decided;
}

/** µs of CPU per turn, user and system, of all threads. */
async function measure(turns: number, work: (turn: number) => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  for (let turn = 0; turn < turns; turn += 1) await work(turn);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / turns;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

const sides = await Promise.all(
  [free, ruled].map(async (options) => {
    const keyway = createKeyway(options);
    keyway.transport.useDigests(digests);
    const jobs: { caller: string; id: string }[] = [];
    for (let at = 0; at < callers * jobsEach; at += 1) {
      const caller = `user-${at % callers}`;
      jobs.push({ caller, id: await submit(keyway, caller) });
    }
    return { keyway, jobs, polls: [] as number[], submits: [] as number[] };
  }),
);

const turns = Number(process.argv[2] ?? 20_000);
// In the first four rounds the code is not compiled well yet.
for (let round = 0; round < 11; round += 1) {
  for (const { keyway, jobs, polls, submits } of sides) {
    const job = (turn: number) => jobs[turn % jobs.length] ?? { caller: "", id: "" };
    polls.push(await measure(turns, (turn) => poll(keyway, job(turn).caller, job(turn).id)));
    const made: { caller: string; id: string }[] = [];
    const { caller } = job(round);
    submits.push(await measure(turns / 2, async () => void made.push({ caller, id: await submit(keyway, caller) })));
    for (const one of made) await finish(keyway, one.caller, one.id);
  }
}

const [off, on] = sides.map(({ polls, submits }) => ({
  poll: median(polls.slice(4)),
  submit: median(submits.slice(4)),
}));
for (const kind of ["poll", "submit"] as const) {
  const [without, within] = [off?.[kind] ?? Number.NaN, on?.[kind] ?? Number.NaN];
  console.log(
    `${kind}: ${within.toFixed(1)} µs with rules, ${without.toFixed(1)} µs without: ${(within - without).toFixed(1)} µs`,
  );
}
process.exit();
