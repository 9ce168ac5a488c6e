import {
  type Door,
  type Exchange,
  type Keyway,
  type KeywayOptions,
  createKeyway,
  createMemoryStore,
} from "@keyway/core";
import { expect, it } from "vitest";
import { byName, listenToConsole } from "../conformance/stage.ts";
import { get, guard, idIn, put, read, urlsOf } from "./ground.ts";

it("A14: of 10,000 interleaved calls of 50 callers none reads what is another's", { timeout: 60_000 }, async () => {
  const callers = 50;
  const keyway = inProcess();
  const mine = await Promise.all(
    Array.from({ length: callers }, async (_, at) => {
      const ids = [];
      for (let number = 0; number < 4; number += 1) ids.push(await submitted(keyway, `user-${at}`, at * 4 + number));
      return ids;
    }),
  );
  let refused = 0;
  const call = async (turn: number): Promise<void> => {
    const as = turn % callers;
    const whose = (turn * 7) % callers;
    const number = turn % 4;
    const sealed = mine[whose]?.[number] ?? "";
    const target = `${urlsOf(sealed).result}${["", "/status", "/cancel", "/status/stream"][(turn >> 3) % 4]}`;
    const method = target.endsWith("/cancel") ? "PUT" : "GET";
    const decided = await keyway.plan(door(method, target, `user-${as}`));
    if (decided.type === "answer") {
      expect([as === whose, decided.status]).toEqual([false, 404]);
      refused += 1;
      return;
    }
    expect(as).toBe(whose);
    expect(decided.up.path).toContain(falId(whose * 4 + number));
    decided.end("left", { status: undefined, bytesIn: 0, bytesOut: 0 });
  };
  for (let turn = 0; turn < 10_000; turn += 100)
    await Promise.all(Array.from({ length: 100 }, (_, at) => call(turn + at)));
  expect(refused).toBeGreaterThan(5000);
  await keyway.close();
});

it("A14: and over real connections, answers go to who asked", async () => {
  const { ask, queue } = await guard();
  const callers = Array.from({ length: 10 }, (_, at) => `user-${at}`);
  const work = callers.map(async (as) => {
    for (let round = 0; round < 5; round += 1) {
      const body = JSON.stringify({ as, round });
      const id = idIn(await ask("https://queue.fal.run/demo/echo", { as, body }));
      const job = queue.jobs.find((one) => id.startsWith(one.id));
      expect(job?.body).toBe(body);
      expect(read(await ask(urlsOf(id).status, { ...get, as }))["request_id"]).toBe(id);
      const other = callers[(callers.indexOf(as) + 1) % callers.length] ?? "";
      expect((await ask(urlsOf(id).result, { ...get, as: other })).status).toBe(404);
      expect((await ask(urlsOf(id).cancel, { ...put, as: other })).status).toBe(404);
    }
  });
  await Promise.all(work);
  expect(queue.jobs.every(({ cancels }) => cancels === 0)).toBe(true);
});

it("Q14: 10,000 calls that are opened and cut short leave every counter at 0", { timeout: 60_000 }, async () => {
  const store = createMemoryStore();
  const limits: KeywayOptions["limits"] = {
    caller: { streams: 20, jobs: 20, requests: { max: 1e6, per: "minute" }, budget: { usd: 1e6, per: "day" } },
    global: { streams: 20, jobs: 20 },
  };
  const keyway = inProcess({
    store,
    limits,
    endpoints: { "demo/*": { price: { perCall: 0.01 }, realtime: "proxied" } },
  });
  const endings = ["unsent", "unanswered", "complete", "cut", "left", "stopped"] as const;
  const cut = async (turn: number): Promise<void> => {
    const kind = ["/stream", "", "/realtime", "submit"][turn % 4] ?? "";
    const target = kind === "submit" ? "https://queue.fal.run/demo/echo" : `https://fal.run/demo/echo${kind}`;
    const upgrade = kind === "/realtime";
    const decided = await keyway.plan(door(upgrade ? "GET" : "POST", target, "ada", upgrade));
    if (decided.type === "answer") throw new Error(`${decided.status} ${new TextDecoder().decode(decided.body)}`);
    await cutShort(decided, kind === "submit" ? "unsent" : (endings[turn % endings.length] ?? "left"), turn);
  };
  for (let turn = 0; turn < 10_000; turn += 10)
    await Promise.all(Array.from({ length: 10 }, (_, at) => cut(turn + at)));
  await expect.poll(async () => (await keyway.usage("ada")).reserved).toBe(0);
  for (const target of ["https://fal.run/demo/echo/stream", "https://queue.fal.run/demo/echo"]) {
    const open = [];
    for (let place = 0; place < 21; place += 1) open.push(await keyway.plan(door("POST", target, "ada")));
    expect(open.map(({ type }) => type)).toEqual([...Array.from({ length: 20 }, () => "exchange"), "answer"]);
  }
  await keyway.close();
});

async function cutShort(exchange: Exchange, ending: Parameters<Exchange["end"]>[0], turn: number): Promise<void> {
  if (ending !== "unsent" && ending !== "unanswered")
    exchange.head({ status: turn % 5 === 0 ? 500 : 200, headers: [] });
  if (ending === "unsent" || ending === "unanswered") exchange.failed(ending, new Error("gone"));
  if (turn % 3 === 0) exchange.callerLeft();
  exchange.end(ending, { status: undefined, bytesIn: 0, bytesOut: 0 });
  exchange.end("left", { status: undefined, bytesIn: 0, bytesOut: 0 });
}

/** Decides without a port. */
function inProcess(options: Partial<KeywayOptions> = {}): Keyway {
  listenToConsole();
  return createKeyway({
    authorize: byName,
    endpoints: "any",
    upstream: { url: "http://127.0.0.1:9", key: "none:0123456789abcdef" },
    limits: { pollsPerSecond: 1e6 },
    ...options,
  });
}

function falId(number: number): string {
  return `019e161b-0000-7000-8000-${String(number).padStart(12, "0")}`;
}

async function submitted(keyway: Keyway, as: string, number: number): Promise<string> {
  const decided = await keyway.plan(door("POST", "https://queue.fal.run/demo/echo", as));
  if (decided.type === "answer") throw new Error(String(decided.status));
  decided.head({ status: 200, headers: [] });
  const { body } = await decided.collected(Buffer.from(JSON.stringify({ request_id: falId(number) })));
  decided.end("complete", { status: 200, bytesIn: 0, bytesOut: 0 });
  return (JSON.parse(new TextDecoder().decode(body)) as { request_id: string }).request_id;
}

function door(method: string, target: string, as: string, upgrade = false): Door {
  const body = method === "POST" ? ([["content-type", "application/json"]] as const) : [];
  const path = `/api/fal/proxy${upgrade ? target.replace("https:/", "") : ""}`;
  const address = upgrade ? [] : ([["x-fal-target-url", target]] as const);
  return {
    head: {
      method,
      path,
      query: null,
      mount: "/api/fal/proxy",
      headers: [["authorization", `Bearer ${as}`], ...address, ...body],
      address: "127.0.0.1",
      secure: false,
      upgrade,
    },
    native: undefined,
    codings: "pass",
    closing: false,
    body: async () => new Uint8Array(0),
    isGone: () => false,
    waitUntil: () => undefined,
  };
}
