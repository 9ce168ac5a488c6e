import { readEnvironment, keyFromEnvironment, whyNotKey } from "./api-key.ts";
import { invalidOption } from "./errors.ts";
import { checkLimits } from "./limit-checks.ts";
import { isLoopback } from "./loopback.ts";
import { checkNumbers } from "./number-checks.ts";
import type { KeywayOptions } from "./options.ts";
import { whyNeverForwarded } from "./rules/headers.ts";
import type { Store } from "./store.ts";
import { suggest } from "./suggestion.ts";
import { checkWebhooks } from "./webhooks/option.ts";

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
  "webhooks",
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
  credentials: "credentials is called apiKey here: write apiKey: env.FAL_KEY",
  resolveApiKey: "resolveApiKey is called apiKey here: write apiKey: async (caller) => key",
  json: "json is not needed: every mount answers with a Response of its own",
  resolveFalAuth:
    "resolveFalAuth is called apiKey here and gives the key without the word Key: write apiKey: async (caller) => key",
};

const publicPrefixes = ["NEXT_PUBLIC_", "VITE_", "PUBLIC_", "REACT_APP_", "NUXT_PUBLIC_", "EXPO_PUBLIC_"];

/** Refuses option names that do not exist, naming the one that was probably meant. */
export function checkNames(options: unknown): asserts options is KeywayOptions {
  if (typeof options !== "object" || options === null) {
    throw invalidOption(
      'createKeyway takes options: createKeyway({ authorize: ({ cookie }) => ..., endpoints: ["fal-ai/**"] })',
    );
  }
  for (const name of Object.keys(options)) {
    const official = Object.hasOwn(officialNames, name) ? officialNames[name] : undefined;
    if (official !== undefined) throw invalidOption(official);
    if (!names.some((known) => known === name))
      throw invalidOption(`there is no option ${name}${suggest(name, names)}`);
  }
}

/** Refuses wrong values; each message shows the corrected line. */
export function checkOptions(options: KeywayOptions, production: boolean): void {
  const values: Record<string, unknown> = { ...options };
  if (values["authorize"] !== "public" && typeof values["authorize"] !== "function") {
    throw invalidOption(
      'authorize must be stated: authorize: ({ cookie }) => ({ id: userId }), with null for nobody; or authorize: "public" for everybody',
    );
  }
  if (values["endpoints"] === undefined)
    throw invalidOption('endpoints must be stated: endpoints: ["fal-ai/flux/**"], or endpoints: "any"');
  checkKey(options);
  checkUrls(options);
  checkNumbers(values);
  checkChoices(values);
  checkHeaders(values["forwardHeaders"]);
  checkLimits(options);
  checkWebhooks(options.webhooks, production);
  if (production && options.authorize === "public" && !hasCap(options)) {
    throw invalidOption(
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
      throw invalidOption(
        `the environment has ${prefix}FAL_KEY, which bundlers put into the page: rename it to FAL_KEY and make a new key`,
      );
    }
  }
  const { apiKey, secret } = options;
  const given = apiKey ?? keyFromEnvironment();
  if (given !== undefined && typeof given !== "function") {
    const why = whyNotKey(given);
    if (why !== undefined)
      throw invalidOption(`${apiKey === undefined ? "FAL_KEY" : "apiKey"} ${why}. Write FAL_KEY=<key id>:<key secret>`);
  }
  const secrets = secret === undefined ? [] : Array.isArray(secret) ? secret : [secret];
  if (
    secret !== undefined &&
    (secrets.length === 0 || secrets.some((one) => typeof one !== "string" || one.length < 16))
  ) {
    throw invalidOption("secret is a random text of at least 16 characters, or a list [new, ...previous]");
  }
  const owned = options.authorize !== "public" && options.ownership !== "app";
  const seals = owned || options.webhooks !== undefined;
  if (typeof apiKey === "function" && secret === undefined && seals) {
    throw invalidOption(
      "secret must be stated when apiKey is a function: secret: process.env.KEYWAY_SECRET (at least 16 characters)",
    );
  }
}

function checkUrls({ publicUrl, origins, upstream }: KeywayOptions): void {
  if (publicUrl !== undefined) {
    const url = parseUrl(publicUrl);
    if (url === undefined || url.username + url.password + url.search + url.hash !== "") {
      throw invalidOption('publicUrl is the proxy\'s whole URL: publicUrl: "https://app.example/api/fal/proxy"');
    }
  }
  if (
    origins !== undefined &&
    !(Array.isArray(origins) && origins.every((origin) => parseUrl(origin)?.origin === origin))
  ) {
    throw invalidOption('origins lists origins without a path: origins: ["https://app.example"]');
  }
  if (upstream !== undefined) {
    const { url: text, key }: { url?: unknown; key?: unknown } = upstream ?? {};
    const url = parseUrl(text);
    const local = url !== undefined && isLoopback(url.hostname);
    if (
      url === undefined ||
      (url.protocol !== "https:" && !local) ||
      url.username + url.password + url.search + url.hash !== "" ||
      whyNotKey(key) !== undefined
    ) {
      throw invalidOption(
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

function checkChoices(values: Record<string, unknown>): void {
  const { ownership, realtime, uploads, store, observe, namespace }: Record<string, unknown> = values;
  const { abandoned, dryRun, onSpend }: Record<string, unknown> = values;
  if (abandoned !== undefined && abandoned !== "keep" && abandoned !== "cancel")
    throw invalidOption('abandoned is "keep" or "cancel"');
  if (dryRun !== undefined && typeof dryRun !== "boolean") throw invalidOption("dryRun is true or false");
  if (onSpend !== undefined && typeof onSpend !== "function")
    throw invalidOption("onSpend is a function: onSpend: ({ caller, usd }) => console.log(caller, usd)");
  if (ownership !== undefined && ownership !== "caller" && ownership !== "app")
    throw invalidOption('ownership is "caller" or "app"');
  if (realtime !== undefined && realtime !== "proxied" && realtime !== "token")
    throw invalidOption('realtime is "proxied" or "token"');
  if (uploads !== undefined && uploads !== false) {
    const { perMinute }: { perMinute?: unknown } = typeof uploads === "object" && uploads !== null ? uploads : {};
    if (typeof perMinute !== "number" || !Number.isInteger(perMinute) || perMinute < 1)
      throw invalidOption("uploads is false or { perMinute: 60 }");
  }
  if (store !== undefined && !isStore(store)) throw invalidOption("store is a Store: store: createMemoryStore()");
  if (observe !== undefined && typeof observe !== "function")
    throw invalidOption("observe is a function: observe: (event) => console.log(event)");
  if (namespace !== undefined && (typeof namespace !== "string" || namespace === ""))
    throw invalidOption('namespace is a short name: namespace: "shop"');
}

const storeMethods: readonly (keyof Store)[] = [
  "admit",
  "bind",
  "mark",
  "listed",
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
  if (!Array.isArray(headers))
    throw invalidOption('forwardHeaders lists lower-case names: forwardHeaders: ["x-my-header"]');
  for (const name of headers) {
    const why = typeof name === "string" ? whyNeverForwarded(name) : "is not a string";
    if (why !== undefined) throw invalidOption(`forwardHeaders cannot hold ${JSON.stringify(name)}: it ${why}`);
  }
}
