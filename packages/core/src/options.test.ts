import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { anonymous } from "./anonymous.ts";
import { ProxyError } from "./errors.ts";
import { createKeyway, toKeyway } from "./keyway.ts";
import { createMemoryStore } from "./memory-store.ts";
import { type KeywayOptions, resolveOptions } from "./options.ts";

const key = "0a1b2c3d-key-id:ffeeddccbbaa99887766";
const [keyId = "", keySecret = ""] = key.split(":");
const good = { authorize: () => ({ id: "ada" }), endpoints: ["fal-ai/**"], apiKey: key } as const;
const priced = { "fal-ai/**": { price: { perCall: 1 } } };

let warned = "";

beforeEach(() => {
  for (const name of ["FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET", "KEYWAY_UPSTREAM", "NODE_ENV"]) vi.stubEnv(name, "");
  warned = "";
  Reflect.deleteProperty(globalThis, Symbol.for("@keyway/core 2 warnings"));
  vi.spyOn(console, "warn").mockImplementation((line) => void (warned += `${line}\n`));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
});

/** Options as JavaScript may give them. */
function create(options: unknown): unknown {
  return resolveOptions(options as KeywayOptions);
}

function mistakeOf(options: unknown): string {
  try {
    create(options);
  } catch (error) {
    expect(error).toBeInstanceOf(ProxyError);
    expect(error).toMatchObject({ code: "invalid_option" });
    for (const shown of [inspect(error), String(error), JSON.stringify(error)]) {
      expect(shown).not.toContain(keyId);
      expect(shown).not.toContain(keySecret);
    }
    return error instanceof Error ? error.message : "";
  }
  throw new Error("it was accepted");
}

describe("counters in memory", () => {
  it.each(["VERCEL", "NETLIFY", "AWS_LAMBDA_FUNCTION_NAME", "K_SERVICE", "FUNCTIONS_WORKER_RUNTIME", "CF_PAGES"])(
    "are warned of under %s",
    (variable) => {
      create(good);
      expect(warned).toBe("");
      vi.stubEnv(variable, "1");
      create(good);
      expect(warned).toContain("store: createRedisStore(");
      warned = "";
      create({ ...good, store: createMemoryStore() });
      vi.stubEnv("NEXT_PHASE", "phase-production-build");
      create(good);
      expect(warned).toBe("");
    },
  );
});

it("while an app is built, the secret of anonymous() need not be there", () => {
  expect(() => anonymous({ secret: "" })).toThrow(/at least 16 characters/);
  vi.stubEnv("NEXT_PHASE", "phase-production-build");
  expect(anonymous({ secret: "" })).toBeTypeOf("function");
});

describe("a mistake shows the corrected line", () => {
  const rows: [name: string, change: Record<string, unknown>, shows: string | RegExp][] = [
    ["authorize missing", { authorize: undefined }, 'authorize: "public"'],
    ["authorize of another shape", { authorize: "everybody" }, "authorize: ({ cookie }) => ({ id: userId })"],
    ["authorize: true", { authorize: true }, "authorize: ({ cookie })"],
    ["endpoints missing", { endpoints: undefined }, 'endpoints: ["fal-ai/flux/**"], or endpoints: "any"'],
    ["a bare **", { endpoints: ["**"] }, 'endpoints: "any"'],
    ["apiKey empty", { apiKey: "" }, "apiKey is empty"],
    ["apiKey that is no text", { apiKey: 5 }, "apiKey is not a string"],
    ["apiKey with a line break", { apiKey: `${key}\n` }, "apiKey has white space around it"],
    ["apiKey with a line break inside", { apiKey: `${keyId}\n${keySecret}` }, "a line break"],
    ["apiKey beyond latin-1", { apiKey: `${key}é` }, "a header cannot hold"],
    ["apiKey with its scheme", { apiKey: `Key ${key}` }, "FAL_KEY=<key id>:<key secret>"],
    ["apiKey undefined as text", { apiKey: "undefined" }, "is the name of a missing value"],
    ["secret too short", { secret: "short" }, "[new, ...previous]"],
    ["no secret at all", { secret: [] }, "[new, ...previous]"],
    ["a list with a short secret", { secret: ["a".repeat(16), "b"] }, "[new, ...previous]"],
    ["a key function without secret", { apiKey: () => key }, "secret: process.env.KEYWAY_SECRET"],
    ["publicUrl without scheme", { publicUrl: "app.example/p" }, 'publicUrl: "https://app.example/api/fal/proxy"'],
    ["publicUrl with a query", { publicUrl: "https://a.example/p?x" }, "publicUrl:"],
    ["publicUrl with a user", { publicUrl: "https://u@a.example/p" }, "publicUrl:"],
    ["publicUrl with a password", { publicUrl: "https://:p@a.example/p" }, "publicUrl:"],
    ["publicUrl of another scheme", { publicUrl: "ftp://a.example/p" }, "publicUrl:"],
    ["publicUrl that is no text", { publicUrl: 5 }, "publicUrl:"],
    ["origins that are no list", { origins: "https://a.example" }, 'origins: ["https://app.example"]'],
    ["origins with a path", { origins: ["https://a.example/"] }, "origins:"],
    ["origins with a star", { origins: ["*"] }, "origins:"],
    ["origins with null", { origins: ["null"] }, "origins:"],
    ["upstream without key", { upstream: { url: "http://127.0.0.1:1" } }, "upstream: { url:"],
    ["upstream in clear beyond this machine", { upstream: { url: "http://a.example", key: "k" } }, "https beyond"],
    ["upstream null", { upstream: null }, "upstream: { url:"],
    ["upstream as text", { upstream: "http://127.0.0.1:1" }, "upstream: { url:"],
    ["upstream with a query", { upstream: { url: "https://a.example/?x", key: "k" } }, "upstream: { url:"],
    ["maxBodyBytes 0", { maxBodyBytes: 0 }, "maxBodyBytes is a positive number"],
    ["sockets of another name", { sockets: { compression: true } }, "sockets are { maxMessageBytes"],
    ["sockets.maxMessageBytes 0", { sockets: { maxMessageBytes: 0 } }, "sockets.maxMessageBytes is a positive number"],
    ["sockets.deflate as text", { sockets: { deflate: "yes" } }, "sockets.deflate is true or false"],
    ["maxBodyBytes as text", { maxBodyBytes: "10mb" }, "maxBodyBytes is a positive number"],
    ["reauthorize -1", { reauthorize: -1 }, "reauthorize is a positive number"],
    ["reauthorize endless", { reauthorize: Number.POSITIVE_INFINITY }, "reauthorize is a positive number"],
    ["trustProxy true", { trustProxy: true }, "trustProxy: 1"],
    ["trustProxy -1", { trustProxy: -1 }, "trustProxy: 1"],
    ["timeouts that are no object", { timeouts: 5 }, "timeouts: { connect: 10_000 }"],
    ["a timeout misspelt", { timeouts: { conect: 5 } }, "did you mean connect?"],
    ["a timeout of NaN", { timeouts: { head: Number.NaN } }, "timeouts.head is a positive number"],
    ["a timeout beyond what timers hold", { timeouts: { head: 2 ** 31 } }, "timeouts.head"],
    ["ownership", { ownership: "user" }, 'ownership is "caller" or "app"'],
    ["realtime", { realtime: true }, 'realtime is "proxied" or "token"'],
    ["uploads true", { uploads: true }, "uploads is false or { perMinute: 60 }"],
    ["uploads 0", { uploads: { perMinute: 0 } }, "{ perMinute: 60 }"],
    ["store", { store: {} }, "store: createMemoryStore()"],
    ["store as text", { store: "redis://x" }, "store: createMemoryStore()"],
    ["observe", { observe: "log" }, "observe: (event) => console.log(event)"],
    ["namespace", { namespace: "" }, 'namespace: "shop"'],
    ["forwardHeaders that are no list", { forwardHeaders: "x-a" }, 'forwardHeaders: ["x-my-header"]'],
    ["forwardHeaders with cookie", { forwardHeaders: ["cookie"] }, "never crosses to fal.ai"],
    ["forwardHeaders with authorization", { forwardHeaders: ["authorization"] }, "never crosses"],
    ["forwardHeaders in upper case", { forwardHeaders: ["X-A"] }, "lower-case"],
    ["forwardHeaders with a number", { forwardHeaders: [5] }, "not a string"],
    ["limits null", { limits: null }, "limits: { caller:"],
    ["limits of a scope that is none", { limits: { user: {} } }, "caller and global, no user"],
    ["limits of a name that is none", { limits: { caller: { rate: 1 } } }, "budget, requests, jobs, streams, no rate"],
    ["limits of a scope that is no object", { limits: { caller: 5 } }, "limits.caller is an object"],
    ["jobs as text", { limits: { caller: { jobs: "5" } } }, "limits.caller.jobs is how many at once: jobs: 10"],
    ["half a stream", { limits: { global: { streams: 0.5 } } }, "streams: 10"],
    ["polls of 0", { limits: { pollsPerSecond: 0 } }, "limits.pollsPerSecond is a positive number"],
    ["abandoned", { abandoned: true }, 'abandoned is "keep" or "cancel"'],
    ["dryRun as text", { dryRun: "yes" }, "dryRun is true or false"],
    ["onSpend", { onSpend: "log" }, "onSpend: ({ caller, usd }) => console.log(caller, usd)"],
    ["limits of an endpoint", { endpoints: { "me/**": { limits: { user: {} } } } }, 'endpoints["me/**"].limits has'],
    ["a rate of -1", { limits: { caller: { requests: { max: -1, per: "day" } } } }, "requests: { max: 100"],
    ["a rate of NaN", { limits: { global: { requests: { max: Number.NaN, per: "day" } } } }, "requests: { max: 100"],
    ["a rate per year", { limits: { caller: { requests: { max: 1, per: "year" } } } }, 'per: "minute"'],
    ["a rate that is null", { limits: { caller: { requests: null } } }, "requests: { max: 100"],
    ["a budget that is null", { limits: { caller: { budget: null } } }, "budget: { usd: 5"],
    ["a budget per week", { endpoints: priced, limits: { caller: { budget: { usd: 1, per: "week" } } } }, 'per: "day"'],
    ["a budget as text", { endpoints: priced, limits: { caller: { budget: { usd: "1", per: "day" } } } }, "usd: 5"],
    ["a budget without prices", { limits: { caller: { budget: { usd: 1, per: "day" } } } }, "price: { perCall: 0.04 }"],
    [
      "a budget with one endpoint unpriced",
      { endpoints: { ...priced, "me/**": {} }, limits: { global: { budget: { usd: 1, per: "day" } } } },
      '"me/**": { price:',
    ],
    [
      "a budget with a price that is undefined",
      { endpoints: { "me/**": { price: undefined } }, limits: { global: { budget: { usd: 1, per: "day" } } } },
      '"me/**": { price:',
    ],
  ];
  it.each(rows)("%s", (_name, change, shows) => {
    expect(mistakeOf({ ...good, ...change })).toMatch(shows instanceof RegExp ? shows : escaped(shows));
  });
  it.each([undefined, null, 5, "options", () => good])("options that are %s", (options) => {
    expect(mistakeOf(options)).toContain("createKeyway({ authorize:");
  });
});

function escaped(text: string): RegExp {
  return new RegExp(text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
}

describe("names", () => {
  it.each([
    ["allowedEndpoints", ["fal-ai/**"], 'endpoints: ["fal-ai/flux/**"]'],
    ["allowedUrlPatterns", ["fal.run/**"], 'endpoints: ["fal-ai/**"]'],
    ["isAuthenticated", async () => true, "authorize: async ({ headers, cookie }) => ({ id: userId })"],
    ["allowUnauthorizedRequests", true, 'authorize: "public"'],
    ["resolveFalAuth", async () => `Key ${key}`, "apiKey: async (caller) => key"],
    ["resolveApiKey", async () => key, "apiKey: async (caller) => key"],
    ["credentials", key, "apiKey: env.FAL_KEY"],
    ["json", () => undefined, "not needed"],
  ])("%s of the official proxy: the new line is printed", (name, value, shows) => {
    expect(mistakeOf({ [name]: value })).toContain(shows);
    expect(mistakeOf({ ...good, [name]: value })).toContain(shows);
  });
  it.each([
    ["autorize", "authorize"],
    ["Authorize", "authorize"],
    ["endpoint", "endpoints"],
    ["publicURL", "publicUrl"],
    ["apikey", "apiKey"],
    ["origin", "origins"],
    ["forwardedHeaders", "forwardHeaders"],
    ["timeout", "timeouts"],
    ["trustproxy", "trustProxy"],
  ])("%s: did you mean %s?", (name, meant) => {
    expect(mistakeOf({ ...good, [name]: 1 })).toContain(`there is no option ${name}: did you mean ${meant}?`);
  });
  it("far from any, all are listed", () => {
    expect(mistakeOf({ ...good, somethingElseAltogether: 1 })).toMatch(/there are authorize, endpoints, .*upstream/);
    expect(mistakeOf(JSON.parse('{"__proto__":{}}'))).toContain("there is no option __proto__");
  });
});

describe("the environment", () => {
  it.each(["NEXT_PUBLIC_", "VITE_", "PUBLIC_", "REACT_APP_", "NUXT_PUBLIC_", "EXPO_PUBLIC_"])(
    "%sFAL_KEY is refused by name",
    (prefix) => {
      vi.stubEnv(`${prefix}FAL_KEY`, key);
      expect(mistakeOf(good)).toContain(`${prefix}FAL_KEY`);
    },
  );
  it.each([`${key}\n`, ` ${key}`, "undefined", "null", `Key ${key}`, `"${key}`.replace('"', "\u0001")])(
    "FAL_KEY %j is refused",
    (value) => {
      vi.stubEnv("FAL_KEY", value);
      expect(mistakeOf({ ...good, apiKey: undefined })).toContain("FAL_KEY=<key id>:<key secret>");
    },
  );
  it("without a key a warning says so, and the key may come later", () => {
    create({ ...good, apiKey: undefined });
    expect(warned).toContain("FAL_KEY is not set");
    warned = "";
    vi.stubEnv("FAL_KEY_ID", keyId);
    vi.stubEnv("FAL_KEY_SECRET", keySecret);
    create({ ...good, apiKey: undefined });
    expect(warned).toBe("");
  });
  it("in production everybody may call only under a cap for all", () => {
    vi.stubEnv("NODE_ENV", "production");
    expect(mistakeOf({ ...good, authorize: "public" })).toContain("limits: { global:");
    const global = { requests: { max: 0, per: "day" } };
    expect(() => create({ ...good, authorize: "public", limits: { global } })).not.toThrow();
  });
  it("KEYWAY_UPSTREAM leads to a loopback address with the key emulator", () => {
    vi.stubEnv("KEYWAY_UPSTREAM", "http://127.0.0.1:4100/");
    expect(create(good)).toMatchObject({
      upstream: { origin: "http://127.0.0.1:4100", prefix: "" },
      apiKey: "emulator",
    });
    vi.stubEnv("KEYWAY_UPSTREAM", "http://[::1]:4100");
    expect(create(good)).toMatchObject({ apiKey: "emulator" });
  });
  it.each([
    "https://evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "http://user@127.0.0.1",
    "http://127.0.0.1/path",
    "http://127.0.0.1?query",
    "http://127.0.0.1:65536",
    "http://127.0.0.256",
    "http://10.0.0.1",
    "https://127.0.0.1",
    "127.0.0.1:4100",
  ])("KEYWAY_UPSTREAM=%s is refused", (url) => {
    vi.stubEnv("KEYWAY_UPSTREAM", url);
    expect(mistakeOf(good)).toContain("upstream: { url, key }");
  });
  it("KEYWAY_UPSTREAM counts for nothing in production, and a warning says so", () => {
    vi.stubEnv("NODE_ENV", "production");
    vi.stubEnv("KEYWAY_UPSTREAM", "http://127.0.0.1:4100");
    expect(create(good)).toMatchObject({ upstream: undefined, apiKey: key });
    expect(warned).toContain("KEYWAY_UPSTREAM is ignored in production");
    warned = "";
    create(good);
    expect(warned).toBe("");
  });
});

describe("settings", () => {
  it("are frozen, with the defaults of the table", () => {
    const settings = resolveOptions(good);
    expect(Object.isFrozen(settings)).toBe(true);
    expect(settings).toMatchObject({
      publicUrl: undefined,
      origins: [],
      limits: {
        caller: { requests: { max: 6000, per: "minute" }, jobs: 1000, streams: 2000 },
        global: {},
        pollsPerSecond: 15,
      },
      realtime: "proxied",
      uploads: { perMinute: 60 },
      forwardHeaders: [],
      trustProxy: 0,
      observe: undefined,
      ownership: "caller",
      reauthorize: 60_000,
      maxBodyBytes: 33_554_432,
      sockets: { maxMessageBytes: 67_108_864, deflate: false },
      upstream: undefined,
      abandonment: undefined,
      onSpend: undefined,
      dryRun: false,
    });
    expect(settings.timeouts).toEqual({
      connect: 10_000,
      runHead: 3_600_000,
      head: 30_000,
      streamIdle: 1_800_000,
      idle: 60_000,
      callerBody: 30_000,
      handshake: 10_000,
      socketIdle: 1_800_000,
      socketStall: 60_000,
      socketClose: 5000,
      authorize: 10_000,
      store: 250,
      jobLease: 86_400_000,
      openLease: 120_000,
      abandoned: 60_000,
      finish: 30_000,
      drain: 30_000,
    });
  });
  it("each timeout may be changed by itself, and undefined is not said", () => {
    const settings = create({ ...good, timeouts: { head: 5, connect: undefined } });
    expect(settings).toMatchObject({ timeouts: { head: 5, connect: 10_000 } });
  });
  it("each limit of a caller may be changed by itself, and undefined is not said", () => {
    const settings = create({ ...good, limits: { caller: { jobs: 2, streams: undefined }, pollsPerSecond: 3 } });
    expect(settings).toMatchObject({
      limits: { caller: { requests: { max: 6000, per: "minute" }, jobs: 2, streams: 2000 }, pollsPerSecond: 3 },
    });
  });
  it("publicUrl falls apart into origin and mount", () => {
    expect(create({ ...good, publicUrl: "https://App.example/api/fal/proxy/" })).toMatchObject({
      publicUrl: { href: "https://app.example/api/fal/proxy", origin: "https://app.example", path: "/api/fal/proxy" },
    });
  });
  it("a store that fails in any way is unavailable", async () => {
    for (const balances of [
      () => Promise.reject(new Error("down")),
      () => {
        throw new Error("down");
      },
      () => new Promise<never>(() => undefined),
    ]) {
      const store = { ...createMemoryStore(), balances };
      const settings = resolveOptions({ ...good, store, timeouts: { store: 20 } });
      await expect(settings.askStore((one) => one.balances(["x"]))).rejects.toMatchObject({
        code: "store_unavailable",
      });
    }
  });
});

describe("a keyway", () => {
  it("shows no key, however it is printed", () => {
    const keyway = createKeyway({ ...good, secret: "a secret of this app" });
    for (const shown of [inspect(keyway, { depth: 9, showHidden: true }), JSON.stringify(keyway)]) {
      for (const part of [keyId, keySecret, "a secret"]) expect(shown).not.toContain(part);
    }
  });
  it("is taken as it is, and made from options", () => {
    const keyway = createKeyway(good);
    expect(toKeyway(keyway)).toBe(keyway);
    expect(toKeyway(good)).toHaveProperty("plan");
  });
  it("tells what a caller has spent, under a name that shows nobody", async () => {
    const keyway = createKeyway({ ...good, endpoints: priced, limits: { caller: { budget: { usd: 5, per: "day" } } } });
    expect(await keyway.usage("ada")).toMatchObject({ spent: 0, reserved: 0, left: 5 });
    expect(await createKeyway(good).usage("ada")).toMatchObject({ spent: 0, reserved: 0, left: undefined });
    expect(await keyway.callerHash("ada")).toMatch(/^[0-9a-f]{32}$/);
    expect(await keyway.callerHash("ada")).toBe(await createKeyway(good).callerHash("ada"));
    expect(await createKeyway({ ...good, namespace: "shop" }).callerHash("ada")).not.toBe(
      await keyway.callerHash("ada"),
    );
    await keyway.close();
  });
});
