import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { type KeywayOptions, type PriceOption, type Spend, type Store, createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { always, respond } from "../upstream.ts";
import { codeOf, run, stream, submit } from "../conformance/stage.ts";
import { type Transport, get, guard, idIn, put, transports, urlsOf } from "./ground.ts";

/** A proxy where `demo/*` has this price, a dollar a day for each caller, and every settled call written down. */
async function priced(price: PriceOption, options: Partial<KeywayOptions> = {}, transport: Transport = "node") {
  const spent: Spend[] = [];
  const stage = await guard(
    {
      endpoints: { "demo/*": { price, realtime: "proxied" } },
      limits: { caller: { budget: { usd: 1, per: "day" } } },
      onSpend: (spend) => spent.push(spend),
      ...options,
    },
    transport,
  );
  const usage = () => stage.keyway.usage("ada");
  const settled = async (): Promise<number> => {
    await expect.poll(async () => (await usage()).reserved).toBe(0);
    return (await usage()).spent;
  };
  return { ...stage, spent, usage, settled };
}

describe.each(transports)("prices over %s", (transport) => {
  it.each<[string, PriceOption, { request?: string; units?: string }, number, number]>([
    ["per call", { perCall: 0.04 }, {}, 0.04, 0.04],
    ["per call, whatever the units", { perCall: 0.04 }, { units: "3" }, 0.04, 0.04],
    ["per call, no units", { perCall: 0.04 }, { units: "0" }, 0.04, 0],
    ["per unit", { perUnit: 0.02, reserveUnits: 4 }, { units: "2.5" }, 0.08, 0.05],
    ["per unit, units unknown", { perUnit: 0.02, reserveUnits: 4 }, {}, 0.08, 0.08],
    ["per minute, for what is no stream", { perMinute: 0.06 }, {}, 0.06, 0.06],
    ["a function", (input) => 0.01 * (input as { n: number }).n, { request: '{"n":7}' }, 0.07, 0.07],
    ["an asynchronous function", async () => 0.03, {}, 0.03, 0.03],
    ["per second, of a run: the whole reservation", { perSecond: 0.001, reserveSeconds: 30 }, {}, 0.03, 0.03],
  ])("%s", async (_name, price, { request = "{}", units }, reserved, charged) => {
    const { upstream, queue, usage, start, settled, spent } = await priced(price, {}, transport);
    queue.units = units;
    const hold = Promise.withResolvers<void>();
    upstream.answer((arrival) => void hold.promise.then(() => queue.script(arrival)));
    start(run, { body: request }).on("response", (response) => response.resume());
    await upstream.next();
    expect(await usage()).toMatchObject({ spent: 0, reserved, left: expect.closeTo(1 - reserved, 6) as number });
    hold.resolve();
    expect(await settled()).toBe(charged);
    expect(spent).toEqual([{ caller: "ada", endpoint: "demo/echo", falRequestId: undefined, usd: charged }]);
  });

  it("per second of inference, of a job: settled by its status, the result changes nothing", async () => {
    const price = { perSecond: 0.01, reserveSeconds: 20 };
    const { ask, queue, usage, settled, spent } = await priced(price, {}, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    expect((await usage()).reserved).toBe(0.2);
    await ask(urls.status, get);
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", seconds: 3.7, units: "1" });
    for (let time = 0; time < 3; time += 1) await ask(urls.status, get);
    expect(await settled()).toBe(0.037);
    await ask(urls.result, get);
    expect(await settled()).toBe(0.037);
    expect(spent).toEqual([{ caller: "ada", endpoint: "demo/echo", falRequestId: queue.jobs[0]?.id, usd: 0.037 }]);
  });

  it("per second, of a job whose result is read without a look at its status", async () => {
    const { ask, queue, settled, upstream } = await priced({ perSecond: 0.01, reserveSeconds: 20 }, {}, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", seconds: 3.7 });
    await ask(urls.result, get);
    expect(await settled()).toBe(0.037);
    const asked = (): number => upstream.arrivals.filter((arrival) => arrival.url.endsWith("/status")).length;
    expect(asked()).toBe(1);
    for (let time = 0; time < 3; time += 1) await ask(urls.result, get);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(asked()).toBe(1);
  });

  it("per second, of a job whose first settlement the store did not take", async () => {
    const memory = createMemoryStore();
    let tries = 0;
    const settle: Store["settle"] = async (...given) => {
      tries += 1;
      if (tries === 1) throw new Error("the store is away");
      return memory.settle(...given);
    };
    const options = { store: { ...memory, settle } };
    const { ask, queue, settled } = await priced({ perSecond: 0.01, reserveSeconds: 20 }, options, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", seconds: 3.7 });
    await ask(urls.result, get);
    await expect.poll(() => tries).toBe(1);
    await ask(urls.result, get);
    expect(await settled()).toBe(0.037);
  });

  it.each(["status", "stream"] as const)("per second, of a job that logs much (%s)", async (url) => {
    const { ask, queue, settled } = await priced({ perSecond: 0.01, reserveSeconds: 20 }, {}, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", seconds: 3.7, logs: "step\n".repeat(50_000) });
    await ask(urls[url], get);
    expect(await settled()).toBe(0.037);
  });

  it("per unit, of a job: settled by its result, once; onSpend hears of it once", async () => {
    const { ask, queue, settled, spent } = await priced({ perUnit: 0.1, reserveUnits: 4 }, {}, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", units: "1.5" });
    await ask(urls.status, get);
    for (let time = 0; time < 3; time += 1) await ask(urls.result, get);
    expect(await settled()).toBe(0.15);
    expect(spent.map(({ usd }) => usd)).toEqual([0.15]);
  });

  it.each<[string, number, readonly ("IN_QUEUE" | "IN_PROGRESS")[], number]>([
    ["a 499 of a job last seen in the queue is given back", 499, ["IN_QUEUE"], 0],
    ["a 499 of a job last seen at work is charged", 499, ["IN_QUEUE", "IN_PROGRESS"], 0.4],
    ["a 499 of a job never seen is charged", 499, [], 0.4],
    ["a 500 is given back", 500, ["IN_PROGRESS"], 0],
    ["a 422 is charged", 422, ["IN_PROGRESS"], 0.4],
  ])("%s", async (_name, status, states, charged) => {
    const { ask, queue, settled } = await priced({ perCall: 0.4 }, {}, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    const [job] = queue.jobs;
    for (const state of states) {
      Object.assign(job ?? {}, { state });
      await ask(urls.status, get);
    }
    if (status === 499) expect((await ask(urls.cancel, put)).status).toBe(202);
    else Object.assign(job ?? {}, { state: "COMPLETED", status });
    await ask(urls.status, get);
    expect((await ask(urls.result, get)).status).toBe(status);
    expect(await settled()).toBe(charged);
  });
});

describe.each(transports)("a job that is over, over %s,", (transport) => {
  it.each([
    [500, 0],
    [422, 0.037],
  ])("with a price per second waits for its result when its status names an error: %i", async (status, charged) => {
    const { ask, queue, settled } = await priced({ perSecond: 0.01, reserveSeconds: 20 }, {}, transport);
    const urls = urlsOf(idIn(await ask(submit)));
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", seconds: 3.7, status });
    await ask(urls.status, get);
    expect((await ask(urls.result, get)).status).toBe(status);
    expect(await settled()).toBe(charged);
  });

  it.each([401, 429])("and failed is not charged by fal.ai's %i in place of its result", async (refusal) => {
    const { ask, queue, settled, keyway, upstream } = await priced({ perCall: 0.4 }, {}, transport);
    await ask(submit);
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", status: 500 });
    const refused = always(refusal, {}, "{}");
    upstream.answer((arrival) => (arrival.url.endsWith("/status") ? queue.script(arrival) : refused(arrival)));
    expect(await keyway.settle()).toBe(0);
    upstream.answer(queue.script);
    expect(await keyway.settle()).toBe(1);
    expect(await settled()).toBe(0);
  });

  it.each([502, 503, 504])(
    "is charged though a gateway answered %i in place of its result at first",
    async (trouble) => {
      const { ask, queue, settled, upstream } = await priced({ perCall: 0.4 }, {}, transport);
      const urls = urlsOf(idIn(await ask(submit)));
      Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED" });
      const troubled = always(trouble, {}, "bad gateway");
      upstream.answer((arrival) => (arrival.url.endsWith("/status") ? queue.script(arrival) : troubled(arrival)));
      expect((await ask(urls.result, get)).status).toBe(trouble);
      upstream.answer(queue.script);
      expect((await ask(urls.result, get)).status).toBe(200);
      expect(await settled()).toBe(0.4);
    },
  );

  it.each([
    [404, "0", 0],
    [400, "1", 0.4],
    [503, "1", 0],
  ])("is settled when its own answer is %i with %s units", async (status, units, charged) => {
    const { ask, queue, settled, keyway } = await priced({ perCall: 0.4 }, {}, transport);
    const fetched = urlsOf(idIn(await ask(submit)));
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", status, units });
    await ask(fetched.status, get);
    expect((await ask(fetched.result, get)).status).toBe(status);
    expect(await settled()).toBe(charged);
    await ask(submit);
    Object.assign(queue.jobs[1] ?? {}, { state: "COMPLETED", status, units });
    expect(await keyway.settle()).toBe(1);
    expect(await settled()).toBe(2 * charged);
  });
});

describe("budgets", () => {
  it("refuse what would pass them with 402, which no official client repeats, and tell what is left", async () => {
    const { ask, upstream, usage, settled } = await priced({ perCall: 0.3 });
    for (let time = 0; time < 3; time += 1) expect((await ask(run)).status).toBe(200);
    await settled();
    const refused = await ask(run);
    expect([refused.status, codeOf(refused)]).toEqual([402, "budget_exceeded"]);
    expect((await ask(run, { as: "bob" })).status).toBe(200);
    expect(upstream.arrivals).toHaveLength(4);
    expect(await usage()).toMatchObject({ spent: 0.9, reserved: 0, left: expect.closeTo(0.1, 6) as number });
  });

  it("of all callers together", async () => {
    const { ask, keyway, settled } = await priced(
      { perCall: 0.4 },
      { limits: { global: { budget: { usd: 1, per: "day" } } } },
    );
    for (const as of ["ada", "bob"]) expect((await ask(run, { as })).status).toBe(200);
    await settled();
    expect((await ask(run, { as: "eve" })).status).toBe(402);
    await expect.poll(() => keyway.usage()).toMatchObject({ spent: 0.8, reserved: 0, left: 0.2 });
    expect(await keyway.usage("ada")).toMatchObject({ spent: 0.4, reserved: 0, left: undefined });
  });

  it("of one endpoint, for each caller and for all", async () => {
    const budget = (usd: number) => ({ budget: { usd, per: "day" } }) as const;
    const { ask } = await guard({
      endpoints: {
        "demo/dear": { price: { perCall: 0.4 }, limits: { caller: budget(0.5), global: budget(1) } },
        "demo/*": { price: { perCall: 0.4 } },
      },
    });
    const dear = "https://fal.run/demo/dear";
    const statuses = [];
    for (const as of ["ada", "ada", "bob", "eve"]) statuses.push((await ask(dear, { as })).status);
    expect(statuses).toEqual([200, 402, 200, 402]);
    expect((await ask(run)).status).toBe(200);
  });

  it.each([
    ["day", Date.UTC(2027, 0, 31, 23, 59, 59), Date.UTC(2027, 1, 1, 0, 0, 0)],
    ["month", Date.UTC(2027, 0, 31, 23, 59, 59), Date.UTC(2027, 1, 1, 0, 0, 0)],
  ] as const)("per %s begin anew when it does, UTC", async (per, last, next) => {
    const { vi, onTestFinished } = await import("vitest");
    vi.useFakeTimers({ toFake: ["Date"], now: last });
    onTestFinished(() => void vi.useRealTimers());
    const { ask } = await guard({
      endpoints: { "demo/*": { price: { perCall: 1 } } },
      limits: { caller: { budget: { usd: 1, per } } },
    });
    expect([(await ask(run)).status, (await ask(run)).status]).toEqual([200, 402]);
    vi.setSystemTime(next);
    expect([(await ask(run)).status, (await ask(run)).status]).toEqual([200, 402]);
    vi.setSystemTime(next + 24 * 3_600_000);
    expect((await ask(run)).status).toBe(per === "day" ? 200 : 402);
  });

  it("more than was reserved is charged whole, and then nothing new is admitted", async () => {
    const { ask, queue, usage, settled } = await priced({ perUnit: 0.5 });
    queue.units = "5";
    expect((await ask(run)).status).toBe(200);
    expect(await settled()).toBe(2.5);
    expect(await usage()).toMatchObject({ spent: 2.5, reserved: 0, left: 0 });
    expect((await ask(run)).status).toBe(402);
  });

  it("an expired reservation is charged, and a late result does not charge it again", async () => {
    const clock = { ms: Date.now() - 3_600_000 };
    const store = createMemoryStore({ now: () => clock.ms });
    const { ask, queue, usage } = await priced({ perCall: 0.4 }, { store, timeouts: { jobLease: 60_000 } });
    const urls = urlsOf(idIn(await ask(submit)));
    clock.ms += 61_000;
    expect(await usage()).toMatchObject({ spent: 0.4, reserved: 0 });
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED" });
    await ask(urls.status, get);
    await ask(urls.result, get);
    expect(await usage()).toMatchObject({ spent: 0.4, reserved: 0 });
  });

  it("a price function that fails refuses: 500, upstream not called, the reason in the log only", async () => {
    for (const price of [
      () => {
        throw new Error("table at 10.0.0.5");
      },
      () => Number.NaN,
      () => -1,
      () => "free" as unknown as number,
    ] satisfies PriceOption[]) {
      const { ask, upstream } = await priced(price);
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([500, "input_rule_failed"]);
      expect(refused.body.toString()).not.toContain("10.0.0.5");
      expect(upstream.connections).toBe(0);
    }
  });

  it("a price function sees what the input rule made of the input, and the endpoint", async () => {
    const seen: unknown[] = [];
    const { ask } = await guard({
      endpoints: {
        "demo/*": {
          input: () => ({ n: 2 }),
          price(input, context) {
            seen.push(input, context);
            return 0.1;
          },
        },
      },
    });
    await ask(run, { body: '{"n":100}' });
    expect(seen).toEqual([{ n: 2 }, { endpoint: "demo/echo" }]);
  });
});

describe("lazy settle", () => {
  it("looks at a caller's oldest open jobs before it refuses him", async () => {
    const { ask, queue, usage, spent } = await priced({ perUnit: 0.1, reserveUnits: 5 });
    await ask(submit);
    await ask(submit);
    expect((await ask(submit)).status).toBe(402);
    for (const job of queue.jobs) Object.assign(job, { state: "COMPLETED", units: "1" });
    expect((await ask(submit)).status).toBe(200);
    expect(await usage()).toMatchObject({ spent: 0.2, reserved: 0.5 });
    expect(new Set(spent.map(({ falRequestId }) => falRequestId))).toEqual(
      new Set(queue.jobs.slice(0, 2).map(({ id }) => id)),
    );
  });

  it("charges by seconds what is priced by seconds", async () => {
    const { ask, queue, usage } = await priced({ perSecond: 0.01, reserveSeconds: 100 });
    await ask(submit);
    Object.assign(queue.jobs[0] ?? {}, { state: "COMPLETED", seconds: 2 });
    expect((await ask(submit)).status).toBe(402);
    expect(await usage()).toMatchObject({ spent: 0.02, reserved: 0 });
    const again = await priced({ perSecond: 0.01, reserveSeconds: 50 });
    await again.ask(submit);
    await again.ask(submit);
    for (const job of again.queue.jobs) Object.assign(job, { state: "COMPLETED", seconds: 2 });
    expect((await again.ask(submit)).status).toBe(200);
    expect(await again.usage()).toMatchObject({ spent: 0.04, reserved: 0.5 });
  });

  it("leaves jobs that are at work alone, and asks fal.ai with the app's key only", async () => {
    const { ask, queue, usage, upstream } = await priced({ perCall: 0.6 });
    await ask(submit);
    Object.assign(queue.jobs[0] ?? {}, { state: "IN_PROGRESS" });
    const before = upstream.arrivals.length;
    expect((await ask(submit)).status).toBe(402);
    expect(await usage()).toMatchObject({ spent: 0, reserved: 0.6 });
    const asked = upstream.arrivals.slice(before);
    expect(asked.map(({ method, url }) => `${method} ${url.split("/").at(-1)}`)).toEqual(["GET status"]);
    expect(asked[0]?.values("authorization")).toEqual([`Key ${upstream.option.key}`]);
  });

  it("asks fal.ai now and then, however often a caller is refused", async () => {
    const { vi, onTestFinished } = await import("vitest");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const { ask, upstream } = await priced({ perCall: 0.6 });
    await ask(submit);
    const before = upstream.arrivals.length;
    for (let call = 0; call < 12; call += 1) expect((await ask(submit)).status).toBe(402);
    expect(upstream.arrivals.length - before).toBe(4);
    vi.setSystemTime(Date.now() + 1000);
    for (let call = 0; call < 12; call += 1) await ask(submit);
    expect(upstream.arrivals.length - before).toBe(6);
  });

  it("does not let a caller through when fal.ai cannot be asked", async () => {
    const { ask, upstream } = await priced({ perCall: 0.6 });
    await ask(submit);
    upstream.answer(always(500, {}, "{}"));
    expect((await ask(submit)).status).toBe(402);
    upstream.answer(({ socket }) => socket.resetAndDestroy());
    expect((await ask(submit)).status).toBe(402);
  });

  it("is what settle() does for everybody, and counts what was settled", async () => {
    const { ask, queue, keyway } = await priced({ perCall: 0.1 });
    for (const as of ["ada", "bob", "eve"]) await ask(submit, { as });
    expect(await keyway.settle()).toBe(0);
    for (const job of queue.jobs.slice(0, 2)) Object.assign(job, { state: "COMPLETED" });
    expect(await keyway.settle()).toBe(2);
    expect(await keyway.usage()).toMatchObject({ spent: 0.2, reserved: 0.1 });
    expect(await keyway.settle()).toBe(0);
  });
});

it("a run that never came to a connection costs nothing, though its caller left", async () => {
  const silent = createServer(() => undefined).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const { start, usage, ended } = await priced(
    { perCall: 0.1 },
    { upstream: { url: `https://127.0.0.1:${port}`, key: "k" } },
  );
  const request = start(run, { body: "{}" });
  await once(silent, "connection");
  await expect.poll(usage).toMatchObject({ reserved: 0.1 });
  request.on("error", () => undefined).destroy();
  expect((await ended()).outcome).toBe("left");
  await expect.poll(usage).toMatchObject({ spent: 0, reserved: 0 });
  silent.close();
});

describe("metering", () => {
  it.each(transports)(
    "a stream pays each begun minute and is cut when the budget is spent, over %s",
    async (transport) => {
      const { vi, onTestFinished } = await import("vitest");
      vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2027, 0, 5, 12) });
      onTestFinished(() => void vi.useRealTimers());
      const { upstream, open, usage, ended } = await priced({ perMinute: 0.4 }, { reauthorize: 20 }, transport);
      upstream.answer(({ response }) => {
        response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
      });
      const incoming = await open(stream);
      await incoming.read();
      expect(await usage()).toMatchObject({ spent: 0, reserved: 0.4 });
      vi.setSystemTime(Date.now() + 60_000);
      await expect.poll(usage).toMatchObject({ spent: 0, reserved: 0.8 });
      vi.setSystemTime(Date.now() + 60_000);
      expect((await incoming.rest()).broken).toBe(true);
      expect((await ended()).outcome).toBe("stopped");
      await expect.poll(usage).toMatchObject({ spent: 0.8, reserved: 0 });
      await upstream.arrivals[0]?.closed;
    },
  );

  it("a stream that is priced by the call pays once, however long it is open", async () => {
    let asked = 0;
    const authorize = () => ((asked += 1), { id: "ada" });
    const { upstream, open, usage, ended } = await priced({ perCall: 0.4 }, { authorize, reauthorize: 10 });
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const incoming = await open(stream);
    await incoming.read();
    await expect.poll(() => asked).toBeGreaterThan(4);
    expect(await usage()).toMatchObject({ reserved: 0.4 });
    upstream.arrivals[0]?.response.end();
    await incoming.rest();
    await ended();
    await expect.poll(usage).toMatchObject({ spent: 0.4, reserved: 0 });
  });

  it("a socket pays each begun minute and is closed with 1008 when the budget is spent", async () => {
    const { vi, onTestFinished } = await import("vitest");
    vi.useFakeTimers({ toFake: ["Date"], now: Date.UTC(2027, 0, 5, 12) });
    onTestFinished(() => void vi.useRealTimers());
    const { upstream, path, usage } = await priced({ perMinute: 0.6 }, { reauthorize: 20 });
    const server = new WebSocketServer({ noServer: true });
    upstream.upgrade((request, socket, head) => {
      server.handleUpgrade(request, socket, head, (accepted) => void accepted.on("error", () => undefined));
    });
    const url = path("https://fal.run/demo/echo/realtime").replace("http:", "ws:");
    const socket = new WebSocket(url, { headers: { authorization: "Bearer ada" } });
    await once(socket, "open");
    expect(await usage()).toMatchObject({ reserved: 0.6 });
    vi.setSystemTime(Date.now() + 60_000);
    const [code] = (await once(socket, "close")) as [number];
    expect(code).toBe(1008);
    await expect.poll(usage).toMatchObject({ spent: 0.6, reserved: 0 });
  });

  it.each(transports)(
    "a stream whose answer begins long after its lease goes on, and keeps its place, over %s",
    async (transport) => {
      const limits = { caller: { streams: 1 } };
      const options = { limits, timeouts: { openLease: 150 } };
      const { upstream, open, usage, ask } = await priced({ perCall: 0.4 }, options, transport);
      const begun = Promise.withResolvers<void>();
      upstream.answer(({ response }) => {
        void begun.promise.then(() => {
          response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
          setTimeout(() => response.end("data: 2\n\n"), 400);
        });
      });
      const incoming = open(stream);
      await upstream.next();
      for (let round = 0; round < 3; round += 1) {
        // The store looks at leases once a second.
        await new Promise((resolve) => setTimeout(resolve, 1010));
        expect((await ask(stream)).status).toBe(429);
        expect(await usage()).toMatchObject({ spent: 0, reserved: 0.4 });
      }
      begun.resolve();
      const { body, broken } = await (await incoming).rest();
      expect([body.toString(), broken]).toEqual(["data: 1\n\ndata: 2\n\n", false]);
      await expect.poll(usage).toMatchObject({ spent: 0.4, reserved: 0 });
    },
  );

  it("a stream keeps its place and money beyond its lease while it is open, and no longer", async () => {
    const began = Date.now() - 3_600_000;
    const clock = { ms: began };
    const authorize = () => ((clock.ms += 80), { id: "ada" });
    const store = createMemoryStore({ now: () => clock.ms });
    const limits = { caller: { streams: 1 } };
    const options = { authorize, store, limits, reauthorize: 60_000, timeouts: { openLease: 100 } };
    const { upstream, open, usage, ask } = await priced({ perCall: 0.4 }, options);
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const incoming = await open(stream);
    await incoming.read();
    await expect.poll(() => clock.ms - began, { timeout: 5000 }).toBeGreaterThan(1500);
    expect((await ask(stream)).status).toBe(429);
    expect(await usage()).toMatchObject({ spent: 0, reserved: 0.4 });
    incoming.leave();
    await expect.poll(usage).toMatchObject({ spent: 0.4, reserved: 0 });
  });
});

describe("onSpend", () => {
  it("that throws breaks nothing", async () => {
    const { ask, log, usage } = await priced(
      { perCall: 0.1 },
      {
        onSpend() {
          throw new Error("ledger is down");
        },
      },
    );
    expect((await ask(run)).status).toBe(200);
    await expect.poll(usage).toMatchObject({ spent: 0.1, reserved: 0 });
    expect(log.join("\n")).toContain("onSpend failed");
  });

  it("names nobody for public callers, of a run or of a job", async () => {
    const { ask, spent, queue, keyway } = await priced({ perCall: 0.1 }, { authorize: "public", limits: {} });
    await ask(run, { as: null });
    const told = { caller: undefined, endpoint: "demo/echo", falRequestId: undefined, usd: 0.1 };
    await expect.poll(() => spent).toEqual([told]);
    const id = idIn(await ask(submit, { as: null }));
    const [job] = queue.jobs;
    Object.assign(job ?? {}, { state: "COMPLETED" });
    expect(await keyway.openJob(id)).toEqual({ falRequestId: job?.id, caller: undefined, endpoint: "demo/echo" });
    await ask(urlsOf(id).result, { ...get, as: null });
    await expect.poll(() => spent).toEqual([told, { ...told, falRequestId: job?.id }]);
  });
});

it("a submit answer without an id is charged when its lease is over, never free", async () => {
  const clock = { ms: Date.now() - 3_600_000 };
  const store = createMemoryStore({ now: () => clock.ms });
  const { ask, upstream, usage } = await priced({ perCall: 0.4 }, { store, timeouts: { jobLease: 60_000 } });
  upstream.answer(({ response }) => respond(response, 200, {}, "{}"));
  expect((await ask(submit)).status).toBe(500);
  expect(await usage()).toMatchObject({ spent: 0, reserved: 0.4 });
  clock.ms += 50 * 60_000;
  expect(await usage()).toMatchObject({ spent: 0.4, reserved: 0 });
});
