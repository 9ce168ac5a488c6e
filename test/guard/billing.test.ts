import { type PriceOption, createKeyway, loadPrices } from "@keyway/core";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { byName, run, submit } from "../conformance/stage.ts";
import { get, guard, idIn, urlsOf } from "./ground.ts";

interface Page {
  readonly billing_events: readonly object[];
  readonly next_cursor: string | null;
  readonly has_more: boolean;
}

/** Answers recorded pages one after another, and remembers what was asked. */
function recorded(pages: readonly (Page | object)[], status = 200) {
  const asked: { url: URL; authorization: string | null; redirect: string | undefined }[] = [];
  const answer: typeof fetch = async (url, init) => {
    const authorization = new Headers(init?.headers).get("authorization");
    asked.push({ url: new URL(url instanceof Request ? url.url : url), authorization, redirect: init?.redirect });
    return Response.json(pages[asked.length - 1] ?? {}, { status });
  };
  return { asked, fetch: answer };
}

/** As fal's platform API answers (fal docs, Platform APIs, billing events). */
function eventOf(requestId: string, usd: number): object {
  return {
    request_id: requestId,
    endpoint_id: "demo/echo",
    timestamp: "2027-01-05T12:00:00Z",
    output_units: usd / 0.1,
    unit_price: 0.1,
    percent_discount: 0,
    cost_estimate_nano_usd: Math.round(usd * 1e9),
  };
}

describe("reconcile", () => {
  async function charged(price: PriceOption = { perCall: 0.4 }) {
    const stage = await guard({
      endpoints: { "demo/*": { price } },
      limits: { caller: { budget: { usd: 1, per: "day" } } },
    });
    const ids = [idIn(await stage.ask(submit)), idIn(await stage.ask(submit))];
    for (const job of stage.queue.jobs) Object.assign(job, { state: "COMPLETED" });
    for (const id of ids) await stage.ask(urlsOf(id).result, get);
    await expect.poll(async () => (await stage.keyway.usage("ada")).spent).toBe(0.8);
    const [first, second] = stage.queue.jobs.map(({ id }) => id);
    return { ...stage, first: first ?? "", second: second ?? "", since: new Date("2027-01-01T00:00:00Z") };
  }

  it("puts charges right, page by page, with the admin key, and once only", async () => {
    const { keyway, first, second, since } = await charged();
    const pages: Page[] = [
      { billing_events: [eventOf(first, 0.1), eventOf("somebody-elses", 5)], next_cursor: "c2", has_more: true },
      { billing_events: [eventOf(second, 0.4)], next_cursor: null, has_more: false },
    ];
    const api = recorded(pages);
    const until = new Date("2027-01-31T00:00:00Z");
    const adminKey = "admin:0123456789abcdef";
    expect(await keyway.reconcile({ adminKey, since, until, fetch: api.fetch })).toEqual({
      events: 3,
      corrected: [{ falRequestId: first, usd: 0.1, change: -0.3 }],
      unknown: 1,
    });
    expect(await keyway.usage("ada")).toMatchObject({ spent: 0.5, reserved: 0, left: 0.5 });
    expect(api.asked.map(({ url }) => url.origin + url.pathname)).toEqual(
      Array.from({ length: 2 }, () => "https://api.fal.ai/v1/models/billing-events"),
    );
    expect(api.asked.map(({ url }) => url.searchParams.get("cursor"))).toEqual([null, "c2"]);
    expect(api.asked[0]?.url.searchParams.get("start")).toBe(since.toISOString());
    expect(api.asked[0]?.url.searchParams.get("end")).toBe(until.toISOString());
    expect(api.asked.map(({ authorization, redirect }) => [authorization, redirect])).toEqual(
      Array.from({ length: 2 }, () => [`Key ${adminKey}`, "error"]),
    );
    const again = await keyway.reconcile({ adminKey, since, fetch: recorded(pages).fetch });
    expect(again.corrected).toEqual([]);
    expect(await keyway.usage("ada")).toMatchObject({ spent: 0.5 });
  });

  it("may raise a charge over the budget: nothing new is admitted then", async () => {
    const { keyway, ask, first, since } = await charged();
    const page = { billing_events: [eventOf(first, 3)], next_cursor: null, has_more: false };
    await keyway.reconcile({ adminKey: "admin:0123456789abcdef", since, fetch: recorded([page]).fetch });
    expect(await keyway.usage("ada")).toMatchObject({ spent: 3.4, reserved: 0, left: 0 });
    expect((await ask(submit)).status).toBe(402);
  });

  it("leaves out what is no event, and stops where there is no next page", async () => {
    const { keyway, first, since } = await charged();
    const odd = [null, 5, {}, { request_id: first }, { request_id: first, cost_estimate_nano_usd: -1 }];
    const page = { billing_events: odd, next_cursor: null, has_more: true };
    const api = recorded([page]);
    expect(await keyway.reconcile({ adminKey: "a:0123456789", since, fetch: api.fetch })).toMatchObject({ events: 0 });
    expect(api.asked).toHaveLength(1);
  });

  it("says what fal.ai answered, without the key", async () => {
    const { keyway, since } = await charged();
    const adminKey = "admin:0123456789abcdef";
    const refused = keyway.reconcile({ adminKey, since, fetch: recorded([{}], 403).fetch });
    await expect(refused).rejects.toMatchObject({ code: "upstream_invalid", message: expect.stringContaining("403") });
    await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining("0123456789abcdef") });
  });
});

describe("loadPrices", () => {
  const apiKey = "id:0123456789abcdef";
  let number = 0;
  /** Prices are kept for the process, so each test has endpoints of its own. */
  const fresh = (): string => `demo/loaded-${(number += 1)}`;
  const priceOf = (endpoint_id: string, unit: string, unit_price = 0.02, currency = "USD"): object => ({
    endpoint_id,
    unit_price,
    unit,
    currency,
  });

  it("makes prices per unit, and per second where fal bills those of computing; those of a video are units", async () => {
    const [a, b, c] = [fresh(), fresh(), fresh()];
    const prices = [priceOf(a, "images"), priceOf(b, "seconds", 0.001), priceOf(c, "compute seconds", 0.0005)];
    const api = recorded([{ prices }]);
    expect(await loadPrices([a, b, c], { apiKey, fetch: api.fetch })).toEqual({
      [a]: { perUnit: 0.02 },
      [b]: { perUnit: 0.001 },
      [c]: { perSecond: 0.0005 },
    });
    expect(api.asked[0]?.url.href).toBe(
      `https://api.fal.ai/v1/models/pricing?endpoint_id=${encodeURIComponent([a, b, c].join(","))}`,
    );
    expect(api.asked[0]?.authorization).toBe(`Key ${apiKey}`);
  });

  it("are what a rule takes", async () => {
    const endpoint = "demo/echo";
    const { fetch } = recorded([{ prices: [priceOf(endpoint, "images", 0.3)] }]);
    const prices = await loadPrices([endpoint], { apiKey, fetch });
    const { ask } = await guard({
      endpoints: { [endpoint]: { price: prices[endpoint] ?? { perCall: 1 } } },
      limits: { caller: { budget: { usd: 0.5, per: "day" } } },
    });
    expect([(await ask(run)).status, (await ask(run)).status]).toEqual([200, 402]);
  });

  it("are asked for once an hour, fifty at a time", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    onTestFinished(() => void vi.useRealTimers());
    const many = Array.from({ length: 120 }, fresh);
    const pages = [many.slice(0, 50), many.slice(50, 100), many.slice(100)].map((some) => ({
      prices: some.map((id) => priceOf(id, "images")),
    }));
    const api = recorded([...pages, ...pages]);
    await loadPrices(many, { apiKey, fetch: api.fetch });
    await loadPrices(many, { apiKey, fetch: api.fetch });
    expect(api.asked).toHaveLength(3);
    vi.setSystemTime(Date.now() + 3_600_001);
    await loadPrices(many, { apiKey, fetch: api.fetch });
    expect(api.asked).toHaveLength(6);
  });

  it("without a price, in another currency, or refused: an error, never a free call", async () => {
    const [a, b, c] = [fresh(), fresh(), fresh()];
    await expect(loadPrices([a], { apiKey, fetch: recorded([{ prices: [] }]).fetch })).rejects.toThrow(
      new RegExp(`no price for ${a}.*price: \\{ perUnit: 0\\.025 \\}`),
    );
    const euros = recorded([{ prices: [priceOf(b, "images", 1, "EUR")] }]);
    await expect(loadPrices([b], { apiKey, fetch: euros.fetch })).rejects.toThrow(/no price/);
    await expect(loadPrices([c], { apiKey, fetch: recorded([{}], 401).fetch })).rejects.toThrow(/401/);
    vi.stubEnv("FAL_KEY", undefined);
    vi.stubEnv("FAL_KEY_ID", undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    await expect(loadPrices([fresh()])).rejects.toThrow(/set FAL_KEY/);
  });
});

it("usage knows nothing of a caller who never called", async () => {
  const options = { authorize: byName, endpoints: { "a/b": { price: { perCall: 1 } } }, apiKey: "id:0123456789abcdef" };
  const keyway = createKeyway({ ...options, limits: { caller: { budget: { usd: 2, per: "month" } } } });
  expect(await keyway.usage("nobody")).toMatchObject({ spent: 0, reserved: 0, left: 2 });
});
