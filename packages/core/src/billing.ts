import { keyFromEnvironment } from "./api-key.ts";
import { ProxyError } from "./errors.ts";
import { jobKey } from "./job.ts";
import type { Settings } from "./options.ts";
import type { PriceOption } from "./rules/price.ts";

const platform = "https://api.fal.ai/v1";
const pageLimit = 100;

/** Options of `keyway.reconcile`. */
export interface ReconcileOptions {
  /** A fal key with ADMIN scope, which billing events need. It is used for this and nothing else. */
  readonly adminKey: string;
  /** From when on; fal allows 90 days. */
  readonly since: Date;
  readonly until?: Date;
  /** Default global fetch. */
  readonly fetch?: typeof fetch;
}

/** What a reconciliation found, in US dollars. */
export interface Reconciled {
  readonly events: number;
  /** Jobs whose charge was put right, with the change. */
  readonly corrected: readonly { readonly falRequestId: string; readonly usd: number; readonly change: number }[];
  /** Events of calls that were not charged here, or too long ago. */
  readonly unknown: number;
}

interface BillingEvent {
  readonly request_id: string;
  readonly cost_estimate_nano_usd: number;
}

/** Compares what jobs were charged with fal's own billing events (fal docs, Platform APIs, billing events) and puts it right. */
export async function reconcile(options: ReconcileOptions, settings: Settings): Promise<Reconciled> {
  const corrected: { falRequestId: string; usd: number; change: number }[] = [];
  let events = 0;
  let unknown = 0;
  for await (const event of billingEvents(options)) {
    events += 1;
    const micros = Math.ceil(event.cost_estimate_nano_usd / 1000);
    const key = await jobKey(event.request_id, settings);
    const change = await settings.askStore((store) => store.correct(key, micros));
    if (change === null) unknown += 1;
    else if (change !== 0) corrected.push({ falRequestId: event.request_id, usd: micros / 1e6, change: change / 1e6 });
  }
  return { events, corrected, unknown };
}

async function* billingEvents({
  adminKey,
  since,
  until,
  fetch: ask = fetch,
}: ReconcileOptions): AsyncGenerator<BillingEvent> {
  let cursor: string | undefined;
  for (let page = 0; page < pageLimit; page += 1) {
    const query = new URLSearchParams({ start: since.toISOString(), limit: "1000" });
    if (until !== undefined) query.set("end", until.toISOString());
    if (cursor !== undefined) query.set("cursor", cursor);
    const body = await readJson(ask, `${platform}/models/billing-events?${query.toString()}`, adminKey);
    const list = Array.isArray(body["billing_events"]) ? body["billing_events"] : [];
    yield* list.filter(isBillingEvent);
    cursor = typeof body["next_cursor"] === "string" ? body["next_cursor"] : undefined;
    if (body["has_more"] !== true || cursor === undefined) return;
  }
}

function isBillingEvent(value: unknown): value is BillingEvent {
  if (typeof value !== "object" || value === null) return false;
  const { request_id: id, cost_estimate_nano_usd: cost }: Record<string, unknown> = { ...value };
  return typeof id === "string" && typeof cost === "number" && Number.isFinite(cost) && cost >= 0;
}

/** Options of {@link loadPrices}. */
export interface LoadPricesOptions {
  /** Default `FAL_KEY`. */
  readonly apiKey?: string;
  /** Default global fetch. */
  readonly fetch?: typeof fetch;
  /** How long a price is believed, in milliseconds. Default one hour. */
  readonly ttl?: number;
}

const loaded = new Map<string, { price: PriceOption; until: number }>();

/**
 * Reads unit prices from fal's pricing API (fal docs, Platform APIs, pricing), for `price` in endpoint rules.
 *
 * @example
 * const prices = await loadPrices(["fal-ai/flux/dev"]);
 * createKeyway({ endpoints: { "fal-ai/flux/dev": { price: prices["fal-ai/flux/dev"] } }, ... });
 */
export async function loadPrices(
  endpoints: readonly string[],
  options: LoadPricesOptions = {},
): Promise<Record<string, PriceOption>> {
  const now = Date.now();
  const missing = endpoints.filter((endpoint) => (loaded.get(endpoint)?.until ?? 0) <= now);
  if (missing.length > 0) await load(missing, options, now);
  return Object.fromEntries(endpoints.map((endpoint) => [endpoint, priceOf(endpoint)]));
}

function priceOf(endpoint: string): PriceOption {
  const price = loaded.get(endpoint)?.price;
  if (price === undefined)
    throw new ProxyError("invalid_option", {
      message: `Keyway: fal.ai names no price for ${endpoint}: state it, price: { perUnit: 0.025 }.`,
    });
  return price;
}

async function load(
  endpoints: readonly string[],
  { apiKey, fetch: ask = fetch, ttl = 3_600_000 }: LoadPricesOptions,
  now: number,
): Promise<void> {
  const key = apiKey ?? keyFromEnvironment();
  if (key === undefined)
    throw new ProxyError("key_missing", { message: "Keyway: prices need a fal key: set FAL_KEY." });
  for (let at = 0; at < endpoints.length; at += 50) {
    const query = new URLSearchParams({ endpoint_id: endpoints.slice(at, at + 50).join(",") });
    const body = await readJson(ask, `${platform}/models/pricing?${query.toString()}`, key);
    for (const value of Array.isArray(body["prices"]) ? body["prices"] : []) {
      const {
        endpoint_id: id,
        unit_price: usd,
        unit,
        currency,
      }: Record<string, unknown> = typeof value === "object" && value !== null ? { ...value } : {};
      if (typeof id !== "string" || typeof usd !== "number" || !(usd >= 0) || currency !== "USD") continue;
      const seconds = typeof unit === "string" && /^compute[ _]seconds?$/i.test(unit);
      loaded.set(id, { price: seconds ? { perSecond: usd } : { perUnit: usd }, until: now + ttl });
    }
  }
}

async function readJson(ask: typeof fetch, url: string, key: string): Promise<Record<string, unknown>> {
  const response = await ask(url, {
    headers: { authorization: `Key ${key}`, accept: "application/json" },
    redirect: "error",
    signal: AbortSignal.timeout(30_000),
  });
  if (!response.ok)
    throw new ProxyError("upstream_invalid", {
      message: `fal.ai answered ${response.status} to ${new URL(url).pathname}.`,
    });
  const body: unknown = await response.json();
  return typeof body === "object" && body !== null ? { ...body } : {};
}
