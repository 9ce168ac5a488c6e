import { readEnvironment, keyFromEnvironment, whyNotKey } from "./api-key.ts";
import { ProxyError } from "./errors.ts";
import type { KeywayOptions } from "./options.ts";
import { whyNeverForwarded } from "./rules/headers.ts";
import type { Store } from "./store.ts";

const names = [
  "authorize",
  "endpoints",
  "publicUrl",
  "apiKey",
  "secret",
  "origins",
  "limits",
  "realtime",
  "uploads",
  "store",
  "forwardHeaders",
  "trustProxy",
  "observe",
  "ownership",
  "reauthorize",
  "namespace",
  "timeouts",
  "maxBodyBytes",
  "sockets",
  "upstream",
  "onSpend",
  "abandoned",
  "dryRun",
] as const satisfies readonly (keyof KeywayOptions)[];

/** Options of the official proxy, each with the line that says the same here. */
const officialNames: Readonly<Record<string, string>> = {
  allowedEndpoints:
    'allowedEndpoints is called endpoints here: write endpoints: ["fal-ai/flux/**"]. It holds for every method',
  allowedUrlPatterns:
    'allowedUrlPatterns is not needed: fal\'s hosts are known. Say what may be called: endpoints: ["fal-ai/**"]',
  isAuthenticated:
    "isAuthenticated is called authorize here and answers who calls: write authorize: async ({ headers, cookie }) => ({ id: userId }), or null for nobody",
  allowUnauthorizedRequests:
    'allowUnauthorizedRequests is stated as authorize: "public" here; to let only your users in, write authorize: async ({ cookie }) => ({ id: userId })',
  resolveFalAuth:
    "resolveFalAuth is called apiKey here and gives the key without the word Key: write apiKey: async (caller) => key",
};

const publicPrefixes = ["NEXT_PUBLIC_", "VITE_", "PUBLIC_", "REACT_APP_", "NUXT_PUBLIC_", "EXPO_PUBLIC_"];

/** Refuses option names that do not exist, naming the one that was probably meant. */
export function checkNames(options: unknown): asserts options is KeywayOptions {
  if (typeof options !== "object" || options === null) {
    throw invalid(
      'createKeyway takes options: createKeyway({ authorize: ({ cookie }) => ..., endpoints: ["fal-ai/**"] })',
    );
  }
  for (const name of Object.keys(options)) {
    const official = Object.hasOwn(officialNames, name) ? officialNames[name] : undefined;
    if (official !== undefined) throw invalid(official);
    if (!names.some((known) => known === name)) throw invalid(`there is no option ${name}${suggest(name, names)}`);
  }
}

/** Refuses wrong values; each message shows the corrected line. */
export function checkOptions(options: KeywayOptions, production: boolean): void {
  const values: Record<string, unknown> = { ...options };
  if (values["authorize"] !== "public" && typeof values["authorize"] !== "function") {
    throw invalid(
      'authorize must be stated: authorize: ({ cookie }) => ({ id: userId }), with null for nobody; or authorize: "public" for everybody',
    );
  }
  if (values["endpoints"] === undefined)
    throw invalid('endpoints must be stated: endpoints: ["fal-ai/flux/**"], or endpoints: "any"');
  checkKey(options);
  checkUrls(options);
  checkNumbers(values);
  checkChoices(values);
  checkHeaders(values["forwardHeaders"]);
  checkLimits(options);
  if (production && options.authorize === "public" && !hasCap(options)) {
    throw invalid(
      'authorize: "public" lets everybody spend. In production state a cap for all: limits: { global: { requests: { max: 1000, per: "day" } } }',
    );
  }
}

/** Places alone are no cap: they are free again as soon as a call is over. */
function hasCap({ limits }: KeywayOptions): boolean {
  return limits?.global?.requests !== undefined || limits?.global?.budget !== undefined;
}

function checkKey(options: KeywayOptions): void {
  for (const prefix of publicPrefixes) {
    if (readEnvironment(`${prefix}FAL_KEY`) !== undefined) {
      throw invalid(
        `the environment has ${prefix}FAL_KEY, which bundlers put into the page: rename it to FAL_KEY and make a new key`,
      );
    }
  }
  const { apiKey, secret } = options;
  const given = apiKey ?? keyFromEnvironment();
  if (given !== undefined && typeof given !== "function") {
    const why = whyNotKey(given);
    if (why !== undefined)
      throw invalid(`${apiKey === undefined ? "FAL_KEY" : "apiKey"} ${why}. Write FAL_KEY=<key id>:<key secret>`);
  }
  const secrets = secret === undefined ? [] : Array.isArray(secret) ? secret : [secret];
  if (
    secret !== undefined &&
    (secrets.length === 0 || secrets.some((one) => typeof one !== "string" || one.length < 16))
  ) {
    throw invalid("secret is a random text of at least 16 characters, or a list [new, ...previous]");
  }
  const owned = options.authorize !== "public" && options.ownership !== "app";
  if (typeof apiKey === "function" && secret === undefined && owned) {
    throw invalid(
      "secret must be stated when apiKey is a function: secret: process.env.KEYWAY_SECRET (at least 16 characters)",
    );
  }
}

function checkUrls({ publicUrl, origins, upstream }: KeywayOptions): void {
  if (publicUrl !== undefined) {
    const url = parseUrl(publicUrl);
    if (url === undefined || url.username + url.password + url.search + url.hash !== "") {
      throw invalid('publicUrl is the proxy\'s whole URL: publicUrl: "https://app.example/api/fal/proxy"');
    }
  }
  if (
    origins !== undefined &&
    !(Array.isArray(origins) && origins.every((origin) => parseUrl(origin)?.origin === origin))
  ) {
    throw invalid('origins lists origins without a path: origins: ["https://app.example"]');
  }
  if (upstream !== undefined) {
    const { url: text, key }: { url?: unknown; key?: unknown } = upstream ?? {};
    const url = parseUrl(text);
    const local = url !== undefined && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
    if (
      url === undefined ||
      (url.protocol !== "https:" && !local) ||
      url.username + url.password + url.search + url.hash !== "" ||
      whyNotKey(key) !== undefined
    ) {
      throw invalid(
        'upstream is another server with a key of its own: upstream: { url: "http://127.0.0.1:4100", key: "emulator" }; https beyond this machine',
      );
    }
  }
}

function parseUrl(text: unknown): URL | undefined {
  if (typeof text !== "string" || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.protocol === "https:" || url.protocol === "http:" ? url : undefined;
}

function checkNumbers(values: Record<string, unknown>): void {
  for (const name of ["maxBodyBytes", "reauthorize"]) checkPositive(name, values[name]);
  const hops = values["trustProxy"];
  if (hops !== undefined && !(typeof hops === "number" && Number.isInteger(hops) && hops >= 0 && hops <= 32)) {
    throw invalid("trustProxy is the number of reverse proxies in front: trustProxy: 1");
  }
  checkSockets(values["sockets"]);
  const times = values["timeouts"];
  if (times === undefined) return;
  if (typeof times !== "object" || times === null)
    throw invalid("timeouts are milliseconds by name: timeouts: { connect: 10_000 }");
  for (const [name, value] of Object.entries(times)) {
    if (!timeoutNames.includes(name)) throw invalid(`there is no timeout ${name}${suggest(name, timeoutNames)}`);
    checkPositive(`timeouts.${name}`, value);
  }
}

function checkSockets(sockets: unknown): void {
  if (sockets === undefined) return;
  const known = ["maxMessageBytes", "deflate"];
  if (typeof sockets !== "object" || sockets === null || Object.keys(sockets).some((name) => !known.includes(name)))
    throw invalid("sockets are { maxMessageBytes: 1_000_000, deflate: false }");
  const { maxMessageBytes, deflate }: { maxMessageBytes?: unknown; deflate?: unknown } = sockets;
  checkPositive("sockets.maxMessageBytes", maxMessageBytes);
  if (deflate !== undefined && typeof deflate !== "boolean") throw invalid("sockets.deflate is true or false");
}

const timeoutNames = [
  "connect",
  "runHead",
  "head",
  "streamIdle",
  "idle",
  "callerBody",
  "handshake",
  "socketIdle",
  "socketStall",
  "socketClose",
  "authorize",
  "store",
  "jobLease",
  "openLease",
  "abandoned",
  "finish",
  "drain",
];

function checkPositive(name: string, value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0 || value > 2 ** 31 - 1) {
    throw invalid(`${name} is a positive number, at most ${2 ** 31 - 1}`);
  }
}

function checkChoices(values: Record<string, unknown>): void {
  const { ownership, realtime, uploads, store, observe, namespace }: Record<string, unknown> = values;
  const { abandoned, dryRun, onSpend }: Record<string, unknown> = values;
  if (abandoned !== undefined && abandoned !== "keep" && abandoned !== "cancel")
    throw invalid('abandoned is "keep" or "cancel"');
  if (dryRun !== undefined && typeof dryRun !== "boolean") throw invalid("dryRun is true or false");
  if (onSpend !== undefined && typeof onSpend !== "function")
    throw invalid("onSpend is a function: onSpend: ({ caller, usd }) => console.log(caller, usd)");
  if (ownership !== undefined && ownership !== "caller" && ownership !== "app")
    throw invalid('ownership is "caller" or "app"');
  if (realtime !== undefined && realtime !== "proxied" && realtime !== "token")
    throw invalid('realtime is "proxied" or "token"');
  if (uploads !== undefined && uploads !== false) {
    const { perMinute }: { perMinute?: unknown } = typeof uploads === "object" && uploads !== null ? uploads : {};
    if (typeof perMinute !== "number" || !Number.isInteger(perMinute) || perMinute < 1)
      throw invalid("uploads is false or { perMinute: 60 }");
  }
  if (store !== undefined && !isStore(store)) throw invalid("store is a Store: store: createMemoryStore()");
  if (observe !== undefined && typeof observe !== "function")
    throw invalid("observe is a function: observe: (event) => console.log(event)");
  if (namespace !== undefined && (typeof namespace !== "string" || namespace === ""))
    throw invalid('namespace is a short name: namespace: "shop"');
}

const storeMethods: readonly (keyof Store)[] = [
  "admit",
  "bind",
  "end",
  "settle",
  "extend",
  "correct",
  "balances",
  "openJobs",
  "claim",
  "put",
  "get",
  "remove",
  "close",
];

function isStore(value: unknown): boolean {
  const store: Readonly<Record<string, unknown>> = Object(value);
  return storeMethods.every((name) => typeof store[name] === "function");
}

function checkHeaders(headers: unknown): void {
  if (headers === undefined) return;
  if (!Array.isArray(headers)) throw invalid('forwardHeaders lists lower-case names: forwardHeaders: ["x-my-header"]');
  for (const name of headers) {
    const why = typeof name === "string" ? whyNeverForwarded(name) : "is not a string";
    if (why !== undefined) throw invalid(`forwardHeaders cannot hold ${JSON.stringify(name)}: it ${why}`);
  }
}

function checkLimits({ limits, endpoints }: KeywayOptions): void {
  if (limits !== undefined) checkScopes("limits", limits, endpoints);
  for (const [pattern, rule] of rulesOf(endpoints)) {
    if (typeof rule !== "object" || rule === null || !("limits" in rule) || rule.limits === undefined) continue;
    checkScopes(`endpoints["${pattern}"].limits`, rule.limits, { [pattern]: rule });
  }
}

function checkScopes(place: string, limits: unknown, endpoints: unknown): void {
  if (typeof limits !== "object" || limits === null)
    throw invalid(
      `${place} are for each caller and for all: limits: { caller: { requests: { max: 100, per: "minute" } } }`,
    );
  for (const [scope, set] of Object.entries(limits)) {
    if (scope === "pollsPerSecond" && place === "limits") checkPositive("limits.pollsPerSecond", set);
    else if (scope !== "caller" && scope !== "global") throw invalid(`${place} has caller and global, no ${scope}`);
    else if (set !== undefined) checkLimitSet(`${place}.${scope}`, set, endpoints);
  }
}

const limitNames = ["budget", "requests", "jobs", "streams"];

function checkLimitSet(place: string, set: unknown, endpoints: unknown): void {
  if (typeof set !== "object" || set === null)
    throw invalid(`${place} is an object: { requests: { max: 100, per: "minute" } }`);
  for (const name of Object.keys(set))
    if (!limitNames.includes(name)) throw invalid(`${place} has ${limitNames.join(", ")}, no ${name}`);
  const { budget, requests, jobs, streams }: Record<string, unknown> = { ...set };
  if (budget !== undefined && !isBudget(budget))
    throw invalid(`${place}.budget is money in US dollars: budget: { usd: 5, per: "day" }`);
  if (requests !== undefined && !isRate(requests))
    throw invalid(`${place}.requests is a rate: requests: { max: 100, per: "minute" }`);
  for (const [name, places] of Object.entries({ jobs, streams }))
    if (places !== undefined && !isCount(places)) throw invalid(`${place}.${name} is how many at once: ${name}: 10`);
  if (budget !== undefined) checkPriced(endpoints);
}

function rulesOf(endpoints: unknown): [string, unknown][] {
  return isRuleMap(endpoints) ? Object.entries(endpoints) : [];
}

function isRuleMap(endpoints: unknown): endpoints is object {
  return typeof endpoints === "object" && endpoints !== null && !Array.isArray(endpoints);
}

function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}

function isBudget(value: unknown): boolean {
  const { usd, per }: { usd?: unknown; per?: unknown } = typeof value === "object" ? { ...value } : {};
  return isAmount(usd) && (per === "day" || per === "month");
}

function isRate(value: unknown): boolean {
  const { max, per }: { max?: unknown; per?: unknown } = typeof value === "object" ? { ...value } : {};
  const known = per === "second" || per === "minute" || per === "hour" || per === "day";
  return known && isCount(max);
}

/** A budget that some endpoints do not count against would not hold. */
function checkPriced(endpoints: unknown): void {
  const rules = rulesOf(endpoints);
  const unpriced = rules.find(
    ([, rule]) => typeof rule !== "object" || rule === null || !("price" in rule) || rule.price === undefined,
  );
  if (unpriced === undefined && isRuleMap(endpoints)) return;
  const name = unpriced?.[0] ?? "fal-ai/flux/**";
  throw invalid(
    `a budget needs a price for every endpoint: endpoints: { "${name}": { price: { perCall: 0.04 } } }, or { perCall: 0 } where it is free`,
  );
}

function isAmount(value: unknown): boolean {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 && value <= 1e6;
}

function suggest(name: string, known: readonly string[]): string {
  const ranked = known.map((candidate) => ({
    candidate,
    distance: distanceOf(name.toLowerCase(), candidate.toLowerCase()),
  }));
  const best = ranked.sort((a, b) => a.distance - b.distance)[0];
  return best !== undefined && best.distance <= 4
    ? `: did you mean ${best.candidate}?`
    : `: there are ${known.join(", ")}`;
}

/** Levenshtein distance. */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function invalid(message: string): ProxyError {
  return new ProxyError("invalid_option", { message: `Keyway: ${message.replace(/[.]$/, "")}.` });
}
