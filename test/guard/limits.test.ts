import { once } from "node:events";
import { type KeywayOptions, createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type Script, always, respond } from "../upstream.ts";
import { type Received, valueIn } from "../wire.ts";
import { codeOf, run, stream, submit } from "../conformance/stage.ts";
import type { Job } from "./queue.ts";
import { type Guarded, get, guard, idIn, put, transports, urlsOf } from "./ground.ts";

const token = "https://rest.fal.ai/tokens/";

async function statuses(times: number, ask: () => Promise<Received>): Promise<number[]> {
  const seen = [];
  for (let time = 0; time < times; time += 1) seen.push((await ask()).status);
  return seen;
}

describe.each(transports)("requests over %s", (transport) => {
  it("Q01: the N+1st in the window is 429 with Retry-After, and not sent", async () => {
    const { upstream, ask } = await guard({ limits: { caller: { requests: { max: 3, per: "minute" } } } }, transport);
    expect(await statuses(3, () => ask(run))).toEqual([200, 200, 200]);
    const refused = await ask(run);
    expect([refused.status, codeOf(refused)]).toEqual([429, "rate_limited"]);
    expect(valueIn(refused.headers, "retry-after")).toMatch(/^[1-9]\d*$/);
    expect(upstream.arrivals).toHaveLength(3);
  });

  it("Q02: of a hundred at once exactly ten go on", async () => {
    const { upstream, ask } = await guard({ limits: { caller: { requests: { max: 10, per: "hour" } } } }, transport);
    const answers = await Promise.all(Array.from({ length: 100 }, () => ask(run)));
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10);
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(90);
    expect(upstream.arrivals).toHaveLength(10);
  });

  it("Q24: preflights, HEAD, polls and everything that is refused consume nothing", async () => {
    const endpoints = { "demo/echo": { input: () => true } };
    const limits: KeywayOptions["limits"] = { caller: { requests: { max: 1, per: "day" } } };
    const { ask } = await guard({ limits, endpoints, ownership: "app", origins: ["https://shop.example"] }, transport);
    const preflight = [
      ["origin", "https://shop.example"],
      ["access-control-request-method", "POST"],
    ] as const;
    for (let time = 0; time < 3; time += 1) {
      await ask(run, { method: "OPTIONS", headers: preflight });
      await ask(urlsOf("a-b-c").status, { method: "HEAD" });
      await ask(urlsOf("a-b-c").status, get);
      await ask("https://evil.example/a/b");
      await ask("https://fal.run/other/app");
      await ask(run, { type: "text/plain" });
      await ask(run, { method: "GET" });
      await ask(run, { as: null });
      await ask(`${submit}?fal_webhook=https://evil.example`);
    }
    expect(await statuses(2, () => ask(run))).toEqual([200, 429]);
  });

  it("tell in RateLimit and RateLimit-Policy what is left", async () => {
    const limits: KeywayOptions["limits"] = {
      caller: { requests: { max: 5, per: "minute" } },
      global: { requests: { max: 100, per: "hour" } },
    };
    const { ask } = await guard({ limits }, transport);
    const { headers } = await ask(run);
    expect(valueIn(headers, "ratelimit-policy")).toBe('"caller";q=5;w=60, "global";q=100;w=3600');
    expect(valueIn(headers, "ratelimit")).toMatch(/^"caller";r=4;t=\d{1,2}, "global";r=99;t=\d{1,4}$/);
    await statuses(4, () => ask(run));
    const refused = await ask(run);
    expect(valueIn(refused.headers, "ratelimit")).toMatch(/^"caller";r=0;t=\d+$/);
    expect(valueIn(refused.headers, "ratelimit-policy")).toBe('"caller";q=5;w=60');
  });
});

describe("requests", () => {
  it("count runs, streams, submits and tokens together", async () => {
    const endpoints = { "demo/echo": { realtime: "token" } } as const;
    const { ask } = await guard({ endpoints, limits: { caller: { requests: { max: 4, per: "day" } } } });
    const body = '{"allowed_apps":["demo/echo"],"token_expiration":60}';
    expect((await ask(run)).status).toBe(200);
    expect((await ask(submit)).status).toBe(200);
    expect((await ask(stream)).status).toBe(200);
    expect((await ask(token, { body })).status).toBe(200);
    for (const target of [run, submit, stream, token]) expect((await ask(target, { body })).status).toBe(429);
  });

  it("are counted per endpoint too, for each caller and for all", async () => {
    const { ask } = await guard({
      endpoints: {
        "demo/slow": { limits: { caller: { requests: { max: 1, per: "day" } } } },
        "demo/rare": { limits: { global: { requests: { max: 2, per: "day" } } } },
        "demo/*": {},
      },
    });
    const call = (name: string, as: string) => ask(`https://fal.run/demo/${name}`, { as });
    expect(await statuses(2, () => call("slow", "ada"))).toEqual([200, 429]);
    expect((await call("slow", "bob")).status).toBe(200);
    expect(await statuses(1, () => call("rare", "ada"))).toEqual([200]);
    expect(await statuses(2, () => call("rare", "bob"))).toEqual([200, 429]);
    expect((await call("echo", "ada")).status).toBe(200);
  });

  it("Q10: a burst over the edge of the window never passes the limit by much: the last window still counts", async () => {
    const clock = { ms: 1_800_000_000_000 };
    const store = createMemoryStore({ now: () => clock.ms });
    const { ask } = await guard({ store, limits: { caller: { requests: { max: 10, per: "minute" } } } });
    clock.ms += 59_999;
    const before = await statuses(12, () => ask(run));
    clock.ms += 2;
    const after = await statuses(12, () => ask(run));
    expect(before.filter((status) => status === 200)).toHaveLength(10);
    expect(after.filter((status) => status === 200)).toHaveLength(0);
    clock.ms += 30_000;
    expect((await statuses(12, () => ask(run))).filter((status) => status === 200)).toHaveLength(5);
  });

  it("Q11: a clock that jumps back an hour or on a day locks nobody out for more than a window", async () => {
    const clock = { ms: 1_800_000_000_000 };
    const store = createMemoryStore({ now: () => clock.ms });
    const { ask } = await guard({ store, limits: { caller: { requests: { max: 2, per: "minute" } } } });
    expect(await statuses(3, () => ask(run))).toEqual([200, 200, 429]);
    clock.ms -= 3_600_000;
    expect(await statuses(3, () => ask(run))).toEqual([200, 200, 429]);
    clock.ms += 25 * 3_600_000;
    expect(await statuses(3, () => ask(run))).toEqual([200, 200, 429]);
  });

  it("Retry-After is when the next one is let through, and not before", async () => {
    const clock = { ms: 1_800_000_010_000 };
    const store = createMemoryStore({ now: () => clock.ms });
    const { ask } = await guard({ store, limits: { caller: { requests: { max: 3, per: "minute" } } } });
    await statuses(3, () => ask(run));
    const wait = Number(valueIn((await ask(run)).headers, "retry-after"));
    clock.ms += (wait - 1) * 1000;
    expect((await ask(run)).status).toBe(429);
    clock.ms += 1000;
    expect((await ask(run)).status).toBe(200);
  });
});

describe("status polls", () => {
  it("Q25: at the official client's 500 ms and Python's 100 ms a job is never refused", async () => {
    const { polls } = await polled({});
    expect(await polls(100, 100)).toEqual(0);
    expect(await polls(500, 40)).toEqual(0);
  });

  it("are 429 with Retry-After beyond 15 a second, for that job alone", async () => {
    const { polls, ask } = await polled({});
    expect(await polls(0, 60)).toBe(30);
    const other = idIn(await ask(submit));
    expect((await ask(urlsOf(other).status, get)).status).toBe(202);
  });

  it("take the number that is stated", async () => {
    const { polls } = await polled({ pollsPerSecond: 2 });
    expect(await polls(0, 10)).toBe(6);
    expect(await polls(500, 10)).toBeLessThanOrEqual(1);
  });

  /** Polls a job so often, with the clock going on so many milliseconds in between, and says how many were refused. */
  async function polled(limits: NonNullable<KeywayOptions["limits"]>) {
    const { vi, onTestFinished } = await import("vitest");
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const stage = await guard({ limits });
    const { status } = urlsOf(idIn(await stage.ask(submit)));
    return {
      ...stage,
      polls: async (everyMs: number, times: number): Promise<number> => {
        let refused = 0;
        for (let time = 0; time < times; time += 1) {
          const answer = await stage.ask(status, get);
          if (answer.status === 429) {
            refused += 1;
            expect(valueIn(answer.headers, "retry-after")).toBe("1");
          }
          vi.setSystemTime(Date.now() + everyMs);
        }
        return refused;
      },
    };
  }
});

describe.each(transports)("jobs at once over %s", (transport) => {
  const limits = { caller: { jobs: 2 } } as const;

  async function full(): Promise<Guarded & { ids: string[] }> {
    const stage = await guard({ limits }, transport);
    const ids = [idIn(await stage.ask(submit)), idIn(await stage.ask(submit))];
    const refused = await stage.ask(submit);
    expect([refused.status, codeOf(refused)]).toEqual([429, "too_many_open"]);
    expect(Number(valueIn(refused.headers, "retry-after"))).toBeGreaterThanOrEqual(1);
    expect((await stage.ask(submit, { as: "bob" })).status).toBe(200);
    expect((await stage.ask(run)).status).toBe(200);
    return { ...stage, ids };
  }

  /** So that a look at open jobs before a refusal cannot be what frees the place. */
  function unsay(job: Job | undefined): void {
    Object.assign(job ?? {}, { state: "IN_PROGRESS" });
  }

  it("are free again when a poll says COMPLETED", async () => {
    const { ask, queue, ids } = await full();
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED" });
    await ask(urlsOf(ids[0] ?? "").status, get);
    unsay(queue.jobs[0]);
    await expect.poll(async () => (await ask(submit)).status).toBe(200);
    expect((await ask(submit)).status).toBe(429);
  });

  it("are free again when the status stream says it, in one chunk with what came before", async () => {
    const { ask, upstream, queue, ids } = await full();
    const state = (status: string): string => `data: {"status":"${status}","request_id":"${queue.jobs[0]?.id}"}\n\n`;
    upstream.answer(always(200, { "content-type": "text/event-stream" }, state("IN_QUEUE") + state("COMPLETED")));
    await ask(urlsOf(ids[0] ?? "").stream, get);
    upstream.answer(queue.script);
    await expect.poll(async () => (await ask(submit)).status).toBe(200);
    expect((await ask(submit)).status).toBe(429);
  });

  it("are free again when the result was read", async () => {
    const { ask, queue, ids } = await full();
    expect((await ask(urlsOf(ids[0] ?? "").result, get)).status).toBe(400);
    expect((await ask(submit)).status).toBe(429);
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED" });
    expect((await ask(urlsOf(ids[0] ?? "").result, get)).status).toBe(200);
    unsay(queue.jobs[0]);
    await expect.poll(async () => (await ask(submit)).status).toBe(200);
    expect((await ask(submit)).status).toBe(429);
  });

  it("are free again when fal.ai says that a cancelled one is over, and not while it goes on", async () => {
    const { ask, queue, ids, upstream } = await full();
    const cancel = () => ask(urlsOf(ids[0] ?? "").cancel, put);
    upstream.answer((arrival) => {
      if (arrival.method === "PUT") respond(arrival.response, 202, {}, '{"status":"CANCELLATION_REQUESTED"}');
      else queue.script(arrival);
    });
    expect((await cancel()).status).toBe(202);
    expect((await ask(submit)).status).toBe(429);
    upstream.answer(queue.script);
    expect((await cancel()).status).toBe(202);
    await expect.poll(async () => (await ask(submit)).status, { interval: 300 }).toBe(200);
    expect((await ask(submit)).status).toBe(429);
  });

  it("are free again as soon as one that waits was cancelled", async () => {
    const { ask, queue, ids } = await full();
    const urls = urlsOf(ids[0] ?? "");
    await ask(urls.status, get);
    expect((await ask(urls.cancel, put)).status).toBe(202);
    unsay(queue.jobs[0]);
    await expect.poll(async () => (await ask(submit)).status).toBe(200);
  });

  it("are not free when a cancel was refused, when another caller asks, or when a log speaks of COMPLETED", async () => {
    const { ask, upstream, queue, ids } = await full();
    const [id = ""] = ids;
    const log = { message: '{"status":"COMPLETED"}' };
    upstream.answer(
      always(202, {}, JSON.stringify({ status: "IN_PROGRESS", request_id: queue.jobs[0]?.id, logs: [log] })),
    );
    await ask(urlsOf(id).status, get);
    upstream.answer(always(404, {}, '{"status":"NOT_FOUND"}'));
    await ask(urlsOf(id).cancel, put);
    upstream.answer(queue.script);
    await ask(urlsOf(id).cancel, { ...put, as: "bob" });
    expect((await ask(submit)).status).toBe(429);
  });

  it("whose caller never came back are looked at before he is refused", async () => {
    const { ask, queue, upstream } = await full();
    for (const job of queue.jobs) Object.assign(job, { state: "COMPLETED" });
    upstream.answer(queue.script);
    expect((await ask(submit)).status).toBe(200);
  });

  it("of a submit that failed are free at once", async () => {
    const { ask, upstream, queue } = await guard({ limits: { caller: { jobs: 1 } } }, transport);
    upstream.answer(always(422, {}, "{}"));
    await ask(submit);
    upstream.answer(queue.script);
    expect((await ask(submit)).status).toBe(200);
  });
});

describe("jobs at once", () => {
  it("from before midnight are looked at after it", async () => {
    const { vi, onTestFinished } = await import("vitest");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2027, 0, 31, 23, 59, 50) });
    onTestFinished(() => void vi.useRealTimers());
    const { ask, queue, keyway } = await guard({ limits: { caller: { jobs: 1 } } });
    await ask(submit);
    vi.setSystemTime(Date.UTC(2027, 1, 1, 0, 0, 10));
    expect((await ask(submit)).status).toBe(429);
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED" });
    expect((await ask(submit)).status).toBe(200);
    Object.assign(queue.jobs[1] ?? {}, { state: "COMPLETED" });
    expect(await keyway.settle()).toBe(1);
  });

  it("of callers of one group are looked at, whoever of them is refused", async () => {
    const authorize: KeywayOptions["authorize"] = ({ headers }) => ({ id: headers.get("x-who") ?? "", group: "team" });
    const { ask, queue } = await guard({ authorize, limits: { caller: { jobs: 2 } } });
    const by = (who: string) => ask(submit, { headers: [["x-who", who]] });
    for (const who of ["ada", "bob"]) expect((await by(who)).status).toBe(200);
    expect((await by("eve")).status).toBe(429);
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED" });
    expect((await by("eve")).status).toBe(200);
    expect((await by("eve")).status).toBe(429);
  });

  it("Q15: whose process is gone are free when their lease is over", async () => {
    const clock = { ms: Date.now() - 3_600_000 };
    const store = createMemoryStore({ now: () => clock.ms });
    const { ask } = await guard({ store, limits: { caller: { jobs: 1 } }, timeouts: { jobLease: 60_000 } });
    expect(await statuses(2, () => ask(submit))).toEqual([200, 429]);
    clock.ms += 61_000;
    expect((await ask(submit)).status).toBe(200);
  });
});

const openEnded: Script = ({ response }) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
};

describe.each(transports)("Q13: open streams over %s", (transport) => {
  it.each<[string, (stage: Guarded, close: () => void) => Promise<unknown>]>([
    ["end", async ({ upstream }) => upstream.arrivals[0]?.response.end()],
    ["abort", async (_stage, leave) => leave()],
    ["error", async ({ upstream }) => upstream.arrivals[0]?.socket.resetAndDestroy()],
  ])("the 4th is 429; a place is free on %s", async (_name, finish) => {
    const stage = await guard({ limits: { caller: { streams: 3 } } }, transport);
    stage.upstream.answer(openEnded);
    const open = [await stage.open(stream), await stage.open(stream), await stage.open(stream)];
    await Promise.all(open.map((one) => one.read()));
    const refused = await stage.ask(stream);
    expect([refused.status, codeOf(refused)]).toEqual([429, "too_many_open"]);
    const rest = open[0]?.rest();
    await finish(stage, () => open[0]?.leave());
    await rest;
    await stage.ended();
    const again = await stage.open(stream);
    expect(again.status).toBe(200);
    for (const one of [...open, again]) one.leave();
  });

  it("on a timeout", async () => {
    const limits = { caller: { streams: 1 } };
    const { upstream, ask, open, ended } = await guard({ limits, timeouts: { streamIdle: 40 } }, transport);
    upstream.answer(openEnded);
    const first = await open(stream);
    expect((await first.rest()).broken).toBe(true);
    await ended();
    upstream.answer(always(200, {}, ""));
    expect((await ask(stream)).status).toBe(200);
  });

  it("on an answer that is a failure, and when upstream cannot be reached", async () => {
    const { upstream, ask } = await guard({ limits: { caller: { streams: 1 } } }, transport);
    upstream.answer(always(500, {}, "{}"));
    expect(await statuses(2, () => ask(stream))).toEqual([500, 500]);
    upstream.answer(({ socket }) => socket.resetAndDestroy());
    expect(await statuses(2, () => ask(stream))).toEqual([500, 500]);
  });
});

describe("Q13: open sockets", () => {
  async function sockets(options: Partial<KeywayOptions>) {
    const stage = await guard(options);
    const server = new WebSocketServer({ noServer: true });
    const accepted: WebSocket[] = [];
    stage.upstream.upgrade((request, socket, head) => {
      server.handleUpgrade(request, socket, head, (one) => accepted.push(one.on("error", () => undefined)));
    });
    const connect = (): WebSocket => {
      const url = stage.path("https://fal.run/demo/echo/realtime").replace("http:", "ws:");
      return new WebSocket(url, { headers: { authorization: "Bearer ada" } });
    };
    return { ...stage, accepted, connect };
  }

  it.each(["close", "terminate"] as const)("count with streams, and leave their place on %s", async (how) => {
    const { connect, ask, ended } = await sockets({ limits: { caller: { streams: 2 } } });
    const [first, second] = [connect(), connect()];
    await Promise.all([once(first, "open"), once(second, "open")]);
    expect((await ask(stream)).status).toBe(429);
    const refused = connect();
    const [error] = (await once(refused, "error")) as [Error];
    expect(error.message).toContain("429");
    first[how]();
    await once(first, "close");
    await ended();
    const third = connect();
    await once(third, "open");
    for (const socket of [second, third]) socket.terminate();
  });

  it("that upstream refuses take no place", async () => {
    const { connect, upstream } = await sockets({ limits: { caller: { streams: 1 } } });
    upstream.upgrade((_request, socket) => socket.end("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"));
    for (let time = 0; time < 3; time += 1) {
      const [error] = (await once(connect(), "error")) as [Error];
      expect(error.message).toContain("503");
    }
  });
});

describe("uploads", () => {
  it("have a rate of their own, by the minute", async () => {
    const initiate = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3";
    const limits = { caller: { requests: { max: 1, per: "day" } } } as const;
    const { ask, upstream } = await guard({ uploads: { perMinute: 2 }, limits });
    upstream.answer(always(200, {}, "{}"));
    expect(await statuses(3, () => ask(initiate))).toEqual([200, 200, 429]);
    expect((await ask(run)).status).toBe(200);
  });
});

describe("pause", () => {
  it("refuses everything that spends until resume; polls and cancels go on", async () => {
    const { keyway, ask } = await guard();
    const id = idIn(await ask(submit));
    await keyway.pause();
    for (const target of [run, stream, submit]) {
      const refused = await ask(target);
      expect(codeOf(refused)).toBe("paused");
      expect([429, 502, 503, 504]).not.toContain(refused.status);
    }
    expect((await ask(urlsOf(id).status, get)).status).toBe(202);
    expect((await ask(urlsOf(id).cancel, put)).status).toBe(202);
    await keyway.resume();
    expect((await ask(run)).status).toBe(200);
  });

  it("does not reach another namespace of the same store", async () => {
    const store = createMemoryStore();
    const one = await guard({ store, namespace: "one" });
    const two = await guard({ store, namespace: "two" });
    await one.keyway.pause();
    expect((await one.ask(run)).status).toBe(403);
    expect((await two.ask(run)).status).toBe(200);
  });
});

it("what two namespaces count in one store is not counted together", async () => {
  const store = createMemoryStore();
  const limits = { caller: { requests: { max: 1, per: "day" } } } as const;
  const [one, two] = [
    await guard({ store, limits, namespace: "one" }),
    await guard({ store, limits, namespace: "two" }),
  ];
  expect([(await one.ask(run)).status, (await two.ask(run)).status, (await one.ask(run)).status]).toEqual([
    200, 200, 429,
  ]);
});
