import type { Setting } from "./flags.ts";

type ServeSetting =
  | "config"
  | "key"
  | "token"
  | "endpoints"
  | "host"
  | "port"
  | "publicUrl"
  | "mount"
  | "origins"
  | "trustProxy"
  | "dailyRequests"
  | "dailyUsd"
  | "redis"
  | "tlsCert"
  | "tlsKey"
  | "drain"
  | "log"
  | "dev";

/** Where `keyway serve` takes each of its settings from. */
export const serveSettings: Readonly<Record<ServeSetting, Setting>> = {
  config: {
    flag: "config",
    env: [],
    value: "<file>",
    help: "default: keyway.config.ts, .mts, .js or .mjs, where there is one",
  },
  key: { env: ["FAL_KEY"], help: "fal's key: <key id>:<key secret>" },
  token: { env: ["KEYWAY_TOKEN"], help: "what callers send as Authorization: Bearer; several by comma" },
  endpoints: {
    flag: "endpoints",
    env: ["KEYWAY_ENDPOINTS"],
    value: "<list>",
    help: "what may be called: fal-ai/flux/**,owner/app; or any",
  },
  host: { flag: "host", env: ["KEYWAY_HOST"], value: "<address>", help: "default 127.0.0.1" },
  port: { flag: "port", env: ["KEYWAY_PORT", "PORT"], value: "<number>", help: "default 4200; 0 takes any free port" },
  publicUrl: {
    flag: "public-url",
    env: ["KEYWAY_PUBLIC_URL"],
    value: "<url>",
    help: "the gateway as callers see it, mount included",
  },
  mount: {
    flag: "mount",
    env: ["KEYWAY_MOUNT"],
    value: "<path>",
    help: "default: the path of the public URL, else /api/fal/proxy",
  },
  origins: { flag: "origins", env: ["KEYWAY_ORIGINS"], value: "<list>", help: "other origins whose pages may call" },
  trustProxy: {
    flag: "trust-proxy",
    env: ["KEYWAY_TRUST_PROXY"],
    value: "<hops>",
    help: "how many reverse proxies are in front",
  },
  dailyRequests: {
    flag: "daily-requests",
    env: ["KEYWAY_DAILY_REQUESTS"],
    value: "<count>",
    help: "spending calls a day, for all together",
  },
  dailyUsd: {
    flag: "daily-usd",
    env: ["KEYWAY_DAILY_USD"],
    value: "<amount>",
    help: "US dollars a day, for all together; needs prices in the config",
  },
  redis: {
    env: ["KEYWAY_REDIS_URL"],
    help: "limits and money in Redis: rediss://…; needs ioredis: npm install @keyway/cli ioredis",
  },
  tlsCert: { flag: "tls-cert", env: ["KEYWAY_TLS_CERT"], value: "<file>", help: "certificate chain, PEM" },
  tlsKey: { flag: "tls-key", env: ["KEYWAY_TLS_KEY"], value: "<file>", help: "its private key, PEM" },
  drain: {
    flag: "drain",
    env: ["KEYWAY_DRAIN"],
    value: "<seconds>",
    help: "how long open calls may go on after SIGTERM; default 30",
  },
  log: { flag: "log", env: ["KEYWAY_LOG"], help: "one line of JSON per decision and finished call" },
  dev: { flag: "dev", env: [], help: "for trying it on this machine; NODE_ENV=development is the same" },
};
