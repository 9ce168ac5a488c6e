import { type ApiKeyOption, noteKeys, readEnvironment } from "./api-key.ts";
import { ProxyError } from "./errors.ts";
import { type Hashes, createHashes } from "./hash.ts";
import { type Digests, createDigests } from "./digests.ts";
import { storeOfProcess } from "./process-store.ts";
import { type TokenBuckets, createTokenBuckets } from "./token-bucket.ts";
import { type JobTracker, createJobTracker } from "./tracker.ts";
import { type Log, type Observe, createLog } from "./observe.ts";
import { checkNames, checkOptions } from "./option-checks.ts";
import { isLoopback } from "./loopback.ts";
import { isBuilding } from "./platform.ts";
import { createRecent } from "./recent.ts";
import type { Authorize, KnownCallers } from "./rules/caller.ts";
import { checkTlsVerification, warnOfDangers } from "./start-warnings.ts";
import { type Endpoint, type EndpointsOption, resolveEndpoints } from "./rules/endpoint.ts";
import { type Abandonment, createAbandonment } from "./abandonment.ts";
import type { Spend } from "./job.ts";
import { type Limits, type LimitsOption, resolveLimits } from "./rules/limit-set.ts";
import { type Scopes, createScopes } from "./rules/scope.ts";
import { type Sealer, createSealer } from "./seal.ts";
import { resolveSecrets, secretsToHide } from "./secrets.ts";
import type { Soon } from "./soon.ts";
import type { SparseLine } from "./sparse.ts";
import type { Store } from "./store.ts";
import { type Webhooks, type WebhooksOption, resolveWebhooks } from "./webhooks/option.ts";
import { type UnderstoodTargets, createUnderstoodTargets } from "./understood.ts";
import { type Timeouts, resolveTimeouts } from "./timeouts.ts";
import { withDefaults } from "./with-defaults.ts";
import { within } from "./within.ts";

/** What WebSockets may do. */
export interface Sockets {
  readonly maxMessageBytes: number;
  readonly deflate: boolean;
}

/** Options of {@link createKeyway}. `authorize` and `endpoints` must be stated; everything else has a default. */
export interface KeywayOptions {
  /** Who calls: a function of the request, or `"public"` for everybody. */
  readonly authorize: "public" | Authorize;
  /** What may be called. */
  readonly endpoints: EndpointsOption;
  /**
   * The proxy's URL as browsers see it, mount included: `https://app.example/api/fal/proxy`. Cookies, WebSockets and rewritten URLs
   * need it in production; in development, loopback and private addresses are taken from the Host header.
   */
  readonly publicUrl?: string | undefined;
  /** fal's API key. Default: `FAL_KEY`, else `FAL_KEY_ID:FAL_KEY_SECRET`, read per call. */
  readonly apiKey?: ApiKeyOption | undefined;
  /** Seals job ids and webhook URLs; to change it write `[new, ...previous]`. Default: derived from a constant api key. At least 16 characters. */
  readonly secret?: string | readonly string[] | undefined;
  /** Other origins whose pages may call, such as `https://app.example`. Default none. */
  readonly origins?: readonly string[] | undefined;
  /**
   * Rates, open jobs and streams, and money per caller and for all. Default: generous for a caller (6,000 calls a minute, 1,000 jobs and
   * 2,000 streams at once), none for all.
   */
  readonly limits?: LimitsOption | undefined;
  /**
   * Whether callers may get fal tokens where an endpoint's rule says nothing. `"proxied"` (default): only for an endpoint that is listed by its
   * whole name, without an input rule, a price or limits. `"token"`: for each endpoint without these.
   */
  readonly realtime?: "proxied" | "token" | undefined;
  /** File uploads per caller; `false` refuses them. Default 60 a minute. */
  readonly uploads?: false | { readonly perMinute: number } | undefined;
  /** Where counters and money are kept. Default: the memory of this process, one for all instances of a namespace. */
  readonly store?: Store | undefined;
  /** Further request headers that may cross to fal.ai, lower-case. */
  readonly forwardHeaders?: readonly string[] | undefined;
  /** How many reverse proxies stand in front: that many entries of X-Forwarded-For are believed. Default 0. */
  readonly trustProxy?: number | undefined;
  /** Told of every decision and every finished call. */
  readonly observe?: Observe | undefined;
  /** Told of every settled call, in US dollars; not of what a lost call was charged when its lease ran out. */
  readonly onSpend?: ((spend: Spend) => void) | undefined;
  /**
   * `"cancel"`: a job that nobody has asked about for `timeouts.abandoned` is cancelled, once, unless its result is delivered (`webhooks`) or
   * the app submitted it (`submitFor`). Default `"keep"`.
   */
  readonly abandoned?: "keep" | "cancel" | undefined;
  /**
   * Logs what rates, open jobs and streams, inputs and endpoints would refuse, and lets it pass. Never for money or ownership: budgets hold, and
   * where an endpoint has a price, only listed endpoints may be called. Default false.
   */
  readonly dryRun?: boolean | undefined;
  /** `"caller"`: a job belongs to who submitted it. `"app"`: every caller may see every job. Default `"caller"`. */
  readonly ownership?: "caller" | "app" | undefined;
  /** How often `authorize` is asked again for open streams and sockets, in milliseconds. Default 60 s. */
  readonly reauthorize?: number | undefined;
  /** Keeps apps apart that share a store, or a process. Default `"keyway"`. */
  readonly namespace?: string | undefined;
  readonly timeouts?: Partial<Timeouts> | undefined;
  /** Largest request body, in bytes. Default 32 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Tells the app of finished jobs. Default: a caller's own `fal_webhook` is refused, and none is set. */
  readonly webhooks?: WebhooksOption | undefined;
  /**
   * WebSockets. `maxMessageBytes`: largest message either way, default 64 MiB; beyond it the socket is closed with 1009. `deflate`: lets
   * callers agree on permessage-deflate with fal.ai (RFC 7692), and sizes then count compressed; default false.
   */
  readonly sockets?: Partial<Sockets> | undefined;
  /** Another upstream in place of fal's hosts, with its own key; it gets `<url>/<fal host>/<path>`. The local emulator is one. */
  readonly upstream?: { readonly url: string; readonly key: string } | undefined;
}

/** Options, resolved once. Nothing behind this applies a default. */
export interface Settings {
  readonly authorize: "public" | Authorize;
  readonly endpoints: readonly Endpoint[];
  readonly understood: UnderstoodTargets;
  readonly publicUrl: { readonly href: string; readonly origin: string; readonly path: string } | undefined;
  readonly production: boolean;
  readonly apiKey: ApiKeyOption | undefined;
  readonly digests: Digests;
  readonly sealer: Sealer;
  readonly hashes: Hashes;
  readonly origins: readonly string[];
  readonly limits: Limits;
  readonly scopes: Scopes;
  readonly callers: KnownCallers;
  readonly polls: TokenBuckets;
  readonly tracker: JobTracker;
  /** Undefined where nobody's jobs are cancelled. */
  readonly abandonment: Abandonment | undefined;
  readonly onSpend: ((spend: Spend) => void) | undefined;
  readonly dryRun: boolean;
  readonly webhooks: Webhooks | undefined;
  readonly realtime: "proxied" | "token";
  readonly uploads: false | { readonly perMinute: number };
  readonly store: Store;
  /** Asks the store, a given one within its time; a failure is `store_unavailable`. */
  askStore<T>(question: (store: Store) => Soon<T>): Soon<T>;
  readonly forwardHeaders: readonly string[];
  readonly trustProxy: number;
  readonly observe: Observe | undefined;
  readonly log: Log;
  /** When lines were written that are written once in a while. */
  readonly said: Map<SparseLine, number>;
  /** Names of headers that did not cross, and were told of. */
  readonly droppedHeaders: Set<string>;
  readonly ownership: "caller" | "app";
  readonly reauthorize: number;
  readonly timeouts: Timeouts;
  readonly maxBodyBytes: number;
  readonly sockets: Sockets;
  /** Origin and path prefix that stand for fal's hosts; undefined for the hosts themselves. */
  readonly upstream: { readonly origin: string; readonly prefix: string } | undefined;
  now(): number;
}

/** Turns options into settings; throws one `invalid_option` with the corrected line for the first mistake. */
export function resolveOptions(options: KeywayOptions): Settings {
  checkNames(options);
  const production = readEnvironment("NODE_ENV") === "production" || !("process" in globalThis);
  checkOptions(options, production);
  const upstream = options.upstream ?? upstreamFromEnvironment(production);
  const noted = new Set<string>();
  const apiKey = upstream?.key ?? noteKeys(options.apiKey, noted);
  const log = createLog(() => [...noted, ...secretsToHide(apiKey, options.secret)]);
  const endpoints = resolveEndpoints(options.endpoints);
  const digests = createDigests();
  const namespace = options.namespace ?? "keyway";
  const hashes = createHashes(namespace, digests);
  const limits = resolveLimits(options.limits);
  const timeouts = resolveTimeouts(options.timeouts);
  const store = options.store ?? storeOfProcess(namespace);
  const secrets = resolveSecrets(options.secret, apiKey);
  const target = upstream === undefined ? undefined : splitUpstream(upstream.url);
  const settings: Settings = {
    authorize: options.authorize,
    endpoints,
    understood: createUnderstoodTargets(),
    publicUrl: resolvePublicUrl(options.publicUrl),
    production,
    apiKey,
    digests,
    sealer: createSealer(secrets, digests),
    hashes,
    origins: options.origins ?? [],
    limits,
    scopes: createScopes(hashes, limits.global),
    callers: createRecent(10_000),
    polls: createTokenBuckets(limits.pollsPerSecond, Date.now),
    tracker: createJobTracker(),
    abandonment: options.abandoned === "cancel" ? createAbandonment(timeouts.abandoned, () => settings) : undefined,
    onSpend: options.onSpend,
    dryRun: options.dryRun ?? false,
    webhooks: resolveWebhooks(options.webhooks, secrets, target, log),
    realtime: options.realtime ?? "proxied",
    uploads: options.uploads ?? { perMinute: 60 },
    store,
    askStore:
      options.store === undefined
        ? (question) => question(store)
        : (question) => askInTime(async () => question(store), timeouts.store),
    forwardHeaders: options.forwardHeaders ?? [],
    trustProxy: options.trustProxy ?? 0,
    observe: options.observe,
    log,
    said: new Map(),
    droppedHeaders: new Set(),
    ownership: options.ownership ?? "caller",
    reauthorize: options.reauthorize ?? 60_000,
    timeouts,
    maxBodyBytes: options.maxBodyBytes ?? 32 * 1024 * 1024,
    sockets: withDefaults(options.sockets, { maxMessageBytes: 64 * 1024 * 1024, deflate: false }),
    upstream: target,
    now: Date.now,
  };
  if (!isBuilding()) warnOfDangers(settings, options.store === undefined);
  checkTlsVerification(settings);
  return Object.freeze(settings);
}

/** `KEYWAY_UPSTREAM` leads development to a local emulator; the real key never goes there. */
function upstreamFromEnvironment(production: boolean): { url: string; key: string } | undefined {
  const url = readEnvironment("KEYWAY_UPSTREAM");
  if (url === undefined || url === "" || production) return undefined;
  if (!isLocalOrigin(url)) {
    throw new ProxyError("invalid_option", {
      message:
        "Keyway: KEYWAY_UPSTREAM takes a loopback address such as http://127.0.0.1:4100; for another upstream write upstream: { url, key }.",
    });
  }
  return { url, key: "emulator" };
}

/** `http://`, this machine, and nothing behind it. */
function isLocalOrigin(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { href, host, hostname } = new URL(text);
  return href === `http://${host}/` && isLoopback(hostname);
}

function splitUpstream(url: string): { origin: string; prefix: string } {
  const { origin, pathname } = new URL(url);
  return { origin, prefix: pathname.replace(/\/+$/, "") };
}

function resolvePublicUrl(url: string | undefined): Settings["publicUrl"] {
  if (url === undefined) return undefined;
  const { origin, pathname } = new URL(url);
  const path = pathname.replace(/\/+$/, "");
  return { href: origin + path, origin, path };
}

async function askInTime<T>(ask: () => Promise<T>, ms: number): Promise<T> {
  try {
    return await within(ask(), ms, () => new Error(`the store did not answer within ${ms} ms`));
  } catch (cause) {
    throw new ProxyError("store_unavailable", { cause, log: "the store failed" });
  }
}
