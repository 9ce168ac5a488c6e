import { type KeywayOptions, type Sender, createFetchSender, createKeyway } from "@keyway/core";
import { beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { byName, codeOf, listenToConsole, refusals, run, stream, submit } from "../conformance/stage.ts";
import { get, guard, idIn, put, urlsOf } from "./ground.ts";

describe("C26: what must be stated", () => {
  beforeEach(() => void listenToConsole());

  it.each<[string, object, RegExp]>([
    ["nothing", {}, /authorize must be stated/],
    ["a key alone", { apiKey: "id:0123456789abcdef" }, /authorize must be stated/],
    ["no endpoints", { authorize: byName }, /endpoints must be stated/],
    ["endpoints null", { authorize: byName, endpoints: null }, /endpoints must be stated/],
  ])("%s: refused at creation, with the line to write", (_name, options, says) => {
    expect(() => createKeyway(options as KeywayOptions)).toThrow(says);
  });

  it.each<[string, KeywayOptions["limits"], boolean]>([
    ["no limits", undefined, false],
    ["limits of callers only", { caller: { requests: { max: 1, per: "day" } } }, false],
    ["an empty cap", { global: {} }, false],
    ["places only", { global: { jobs: 5 } }, false],
    ["requests for all", { global: { requests: { max: 1000, per: "day" } } }, true],
    ["a budget for all", { global: { budget: { usd: 10, per: "day" } } }, true],
  ])('"public" in production with %s', (_name, limits, allowed) => {
    vi.stubEnv("NODE_ENV", "production");
    onTestFinished(() => void vi.unstubAllEnvs());
    const endpoints = { "demo/*": { price: { perCall: 0.1 } } };
    const create = () => createKeyway({ authorize: "public", endpoints, apiKey: "id:0123456789abcdef", limits });
    if (allowed) expect(create).not.toThrow();
    else expect(create).toThrow(/cap for all/);
  });
});

describe("C27: limits that are no limits", () => {
  const wrong = [-1, Number.NaN, "10mb", Number.POSITIVE_INFINITY, null, 1.5, "5"];
  const places: readonly (readonly [string, (value: unknown) => object, readonly unknown[]])[] = [
    ["requests", (max) => ({ limits: { caller: { requests: { max, per: "day" } } } }), wrong],
    ["requests for all", (max) => ({ limits: { global: { requests: { max, per: "day" } } } }), wrong],
    ["a window", (per) => ({ limits: { caller: { requests: { max: 1, per } } } }), ["week", 60, undefined]],
    ["jobs", (jobs) => ({ limits: { caller: { jobs } } }), wrong],
    ["streams", (streams) => ({ limits: { global: { streams } } }), wrong],
    [
      "polls",
      (pollsPerSecond) => ({ limits: { pollsPerSecond } }),
      [0, -1, Number.NaN, "15", Number.POSITIVE_INFINITY],
    ],
    [
      "a budget",
      (usd) => ({ limits: { caller: { budget: { usd, per: "day" } } } }),
      wrong.filter((one) => one !== 1.5),
    ],
    ["a period", (per) => ({ limits: { caller: { budget: { usd: 1, per } } } }), ["hour", "year", undefined]],
    ["uploads", (perMinute) => ({ uploads: { perMinute } }), [0, ...wrong]],
    ["maxBodyBytes", (maxBodyBytes) => ({ maxBodyBytes }), [0, ...wrong.filter((one) => one !== 1.5)]],
    ["reauthorize", (reauthorize) => ({ reauthorize }), [0, ...wrong.filter((one) => one !== 1.5)]],
    ["a timeout", (jobLease) => ({ timeouts: { jobLease } }), [0, ...wrong.filter((one) => one !== 1.5)]],
    ["trustProxy", (trustProxy) => ({ trustProxy }), [true, ...wrong]],
    ["dryRun", (dryRun) => ({ dryRun }), ["false", 0, null]],
    ["abandoned", (abandoned) => ({ abandoned }), [true, "yes", 60]],
    ["onSpend", (onSpend) => ({ onSpend }), [true, "log"]],
    ["limits", (limits) => ({ limits }), [null, 5, "10"]],
    ["a scope", (scope) => ({ limits: { [String(scope)]: {} } }), ["callers", "all", "user"]],
    ["a limit's name", (name) => ({ limits: { caller: { [String(name)]: 5 } } }), ["request", "money", "perMinute"]],
    [
      "limits of an endpoint",
      (max) => ({ endpoints: { "demo/*": { limits: { caller: { requests: { max, per: "day" } } } } } }),
      wrong,
    ],
    ["jobs of an endpoint", (jobs) => ({ endpoints: { "demo/*": { limits: { global: { jobs } } } } }), wrong],
  ];
  const cases = places.flatMap(([name, options, values]) => values.map((value) => [name, value, options] as const));

  it.each(cases)("%s %s: refused at creation", (_name, value, options) => {
    listenToConsole();
    const endpoints = { "demo/*": { price: { perCall: 0.1 } } };
    const given = { authorize: byName, endpoints, apiKey: "id:0123456789abcdef", ...options(value) } as KeywayOptions;
    expect(() => createKeyway(given)).toThrow(/^Keyway: /);
  });

  it("0 means none at all", async () => {
    const { ask } = await guard({ limits: { caller: { requests: { max: 0, per: "day" } } } });
    expect((await ask(run)).status).toBe(429);
    const jobs = await guard({ limits: { caller: { jobs: 0 } } });
    expect((await jobs.ask(submit)).status).toBe(429);
    expect((await jobs.ask(run)).status).toBe(200);
    const money = await guard({
      endpoints: { "demo/*": { price: { perCall: 0.01 } } },
      limits: { caller: { budget: { usd: 0, per: "day" } } },
    });
    expect((await money.ask(run)).status).toBe(402);
  });

  it("a budget where an endpoint has no price is refused with the line to write", () => {
    const limits = { caller: { budget: { usd: 1, per: "day" } } } as const;
    for (const endpoints of [
      "any",
      ["demo/*"],
      { "demo/*": {} },
      { "a/b": { price: { perCall: 1 } }, "c/d": {} },
    ] as const)
      expect(() => createKeyway({ authorize: byName, endpoints, limits })).toThrow(/needs a price for every endpoint/);
    const own = { "demo/*": { limits } };
    expect(() => createKeyway({ authorize: byName, endpoints: own })).toThrow(/needs a price for every endpoint/);
  });
});

describe("keys", () => {
  it("C24: given as a function and rotated under load: no call fails, and the old one is not used any more", async () => {
    let key = "old-key:0123456789abcdef";
    const apiKey = async () => key;
    const { upstream } = await guard();
    const ask = tenant(upstream.option.url, apiKey);
    const before = await Promise.all(Array.from({ length: 50 }, () => ask()));
    key = "new-key:0123456789abcdef";
    const after = await Promise.all(Array.from({ length: 50 }, () => ask()));
    expect([...before, ...after].every((status) => status === 200)).toBe(true);
    const sent = upstream.arrivals.slice(50).flatMap(({ values }) => values("authorization"));
    expect(sent).toEqual(Array.from({ length: 50 }, () => "Key new-key:0123456789abcdef"));
  });

  it("C25: two tenants' keys over a thousand interleaved calls are never mixed up", async () => {
    const { upstream } = await guard();
    const apiKey = async ({ id }: { readonly id: string }) => `${id}:0123456789abcdef`;
    const ask = tenant(upstream.option.url, apiKey);
    for (let round = 0; round < 20; round += 1)
      await Promise.all(Array.from({ length: 50 }, (_, at) => ask(at % 2 === 0 ? "ada" : "bob")));
    expect(upstream.arrivals).toHaveLength(1000);
    for (const { received, values } of upstream.arrivals) {
      const { as } = JSON.parse(Buffer.concat(received).toString()) as { as: string };
      expect(values("authorization")).toEqual([`Key ${as}:0123456789abcdef`]);
    }
  });

  /** A proxy whose key comes from a function, and whose calls of fal's hosts are led to an upstream of ours. */
  function tenant(url: string, apiKey: (caller: { readonly id: string }) => Promise<string>) {
    const secret = "a secret for the seals of tenants";
    const keyway = createKeyway({ authorize: byName, endpoints: "any", apiKey, secret });
    const sender = createFetchSender();
    const led: Sender = {
      ...sender,
      send: (up, body, signal) =>
        sender.send({ ...up, origin: url, path: `/${new URL(up.origin).host}${up.path}` }, body, signal),
    };
    return async (as = "ada"): Promise<number> => {
      const headers = { authorization: `Bearer ${as}`, "x-fal-target-url": run, "content-type": "application/json" };
      const body = JSON.stringify({ as });
      const request = new Request("http://localhost/api/fal/proxy", { method: "POST", headers, body });
      const response = await keyway.fetch(request, { sender: led });
      await response.arrayBuffer();
      return response.status;
    };
  }
});

describe("dryRun", () => {
  it("says what rates, places, inputs and endpoints would refuse, and lets it pass", async () => {
    const { ask, log, events, upstream } = await guard({
      dryRun: true,
      endpoints: { "demo/*": { input: (input) => (input as { n?: number }).n !== 9 } },
      limits: { caller: { requests: { max: 1, per: "day" }, jobs: 1 } },
    });
    const answers = [
      await ask(run),
      await ask(run),
      await ask(run, { body: '{"n":9}' }),
      await ask("https://fal.run/other/app"),
      await ask(submit),
      await ask(submit),
    ];
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200));
    expect((await upstream.arrivals[2]?.whole)?.toString()).toBe('{"n":9}');
    const told = events.filter(({ outcome }) => outcome === "would-refuse").map(({ code }) => code);
    expect(new Set(told)).toEqual(new Set(["rate_limited", "input_refused", "endpoint_refused", "too_many_open"]));
    expect(refusals(events)).toEqual([]);
    expect(log.join("\n")).toContain("dryRun: would refuse with rate_limited");
  });

  it("never lets money pass: budgets hold, and what a rate would refuse is still charged", async () => {
    const { ask, keyway } = await guard({
      dryRun: true,
      endpoints: { "demo/*": { price: { perCall: 0.4 } } },
      limits: { caller: { requests: { max: 1, per: "day" }, budget: { usd: 1, per: "day" }, jobs: 0 } },
    });
    expect([(await ask(run)).status, (await ask(submit)).status]).toEqual([200, 200]);
    await expect.poll(() => keyway.usage("ada")).toMatchObject({ spent: 0.4, reserved: 0.4, left: 0.2 });
    for (const target of [run, stream, submit]) {
      const refused = await ask(target);
      expect([refused.status, codeOf(refused)]).toEqual([402, "budget_exceeded"]);
    }
    const unlisted = await ask("https://fal.run/other/app");
    expect([unlisted.status, codeOf(unlisted)]).toEqual([403, "endpoint_refused"]);
    expect((await ask(run, { method: "GET" })).status).toBe(405);
  });

  it("never lets ownership pass, nor the caller", async () => {
    const { ask, upstream } = await guard({ dryRun: true });
    const id = idIn(await ask(submit));
    for (const [url, how] of [
      [urlsOf(id).status, get],
      [urlsOf(id).cancel, put],
      [urlsOf(id).result, get],
    ] as const)
      expect((await ask(url, { ...how, as: "bob" })).status).toBe(404);
    expect((await ask(run, { as: null })).status).toBe(401);
    expect(upstream.arrivals).toHaveLength(1);
  });
});

describe("check", () => {
  const base = { authorize: byName, endpoints: ["demo/*"], apiKey: "id:0123456789abcdef" } as const;
  const said = (options: KeywayOptions) => {
    listenToConsole();
    return createKeyway(options).check();
  };

  it("names what is dangerous, worst first, with the line to write", () => {
    const found = said({ ...base, authorize: "public", endpoints: "any", ownership: "app", dryRun: true });
    expect(found.map(({ level, option }) => `${level} ${option}`)).toEqual([
      "warning authorize",
      "warning endpoints",
      "warning limits.global.budget",
      "warning ownership",
      "warning dryRun",
      "info endpoints",
      "info publicUrl",
    ]);
    expect(found.find(({ option }) => option === "limits.global.budget")?.message).toContain(
      'limits: { global: { budget: { usd: 100, per: "day" } } }',
    );
  });

  it("is stricter in production", () => {
    vi.stubEnv("NODE_ENV", "production");
    onTestFinished(() => void vi.unstubAllEnvs());
    const limits = { global: { requests: { max: 5, per: "day" } } } as const;
    const dangers = said({ ...base, authorize: "public", dryRun: true, limits }).filter(
      ({ level }) => level === "danger",
    );
    expect(dangers.map(({ option }) => option)).toEqual(["authorize", "publicUrl", "dryRun"]);
  });

  it("has nothing to warn of where all is stated", () => {
    const found = said({
      ...base,
      endpoints: { "demo/*": { price: { perCall: 0.1 } } },
      limits: { global: { budget: { usd: 5, per: "day" } } },
      publicUrl: "https://app.example/api/fal/proxy",
    });
    expect(found).toEqual([]);
  });

  it("names a missing key, and an upstream that is not fal.ai, and never shows a key", () => {
    vi.stubEnv("FAL_KEY", undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    const found = said({ authorize: byName, endpoints: [] });
    expect(found[0]).toMatchObject({ level: "danger", option: "apiKey" });
    const other = said({ ...base, upstream: { url: "http://127.0.0.1:4100", key: "emulator-key-0123" } });
    expect(other.find(({ option }) => option === "upstream")?.message).toContain("http://127.0.0.1:4100");
    expect(JSON.stringify([found, other])).not.toContain("0123");
  });
});
