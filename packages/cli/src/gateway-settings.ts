import { readFileSync } from "node:fs";
import { type Authorize, type KeywayOptions, type LimitsOption, keyFromEnvironment, invalidOption } from "@keyway/core";
import type { GatewayConfig } from "./config.ts";
import { type Arguments, type Setting, toList } from "./flags.ts";
import { codeOf } from "./thrown.ts";
import { serveSettings } from "./serve-settings.ts";
import { authorizeByToken, toTokens } from "./tokens.ts";

/** Everything `keyway serve` needs, checked as far as Keyway itself does not check it. */
export interface GatewaySettings {
  readonly options: KeywayOptions;
  readonly host: string;
  readonly port: number;
  /** Without a slash at its end; empty for the root. */
  readonly mount: string;
  readonly tls: { readonly cert: Buffer; readonly key: Buffer } | undefined;
  /** Where fal's deliveries are taken; undefined without the option `webhooks`. */
  readonly webhookPath: string | undefined;
  /** In milliseconds. */
  readonly settleEvery: number;
  readonly redisUrl: string | undefined;
}

/** Brings flags, environment and config together, in this order; throws `invalid_option` with the line to add. */
export function resolveGateway({ given, isOn }: Arguments, config: GatewayConfig): GatewaySettings {
  const { host, port, mount, tls, log, settleEvery = 60_000, ...rest } = config;
  const publicUrl = given(serveSettings.publicUrl) ?? rest.publicUrl;
  const origins = given(serveSettings.origins);
  const hops = toNumber(serveSettings.trustProxy, given(serveSettings.trustProxy));
  const drain = toNumber(serveSettings.drain, given(serveSettings.drain));
  const redisUrl = given(serveSettings.redis);
  checkKey(config);
  // Node takes a longer time for none.
  if (!(settleEvery > 0 && settleEvery < 2 ** 31))
    throw invalidOption("settleEvery is milliseconds, 24 days at most: settleEvery: 60_000");
  if (redisUrl !== undefined && rest.store !== undefined)
    throw invalidOption("the store is stated twice: take out KEYWAY_REDIS_URL, or store of the config file");
  const options: KeywayOptions = {
    ...rest,
    authorize: toAuthorize(given(serveSettings.token), config),
    endpoints: toEndpoints(given(serveSettings.endpoints), config),
    publicUrl,
    origins: origins === undefined ? rest.origins : toList(origins),
    trustProxy: hops ?? rest.trustProxy,
    limits: toLimits(given, rest.limits),
    timeouts: drain === undefined ? rest.timeouts : { ...rest.timeouts, drain: Math.max(1, drain * 1000) },
    observe: log === true || isOn(serveSettings.log) ? withLog(rest.observe) : rest.observe,
  };
  return {
    options,
    host: given(serveSettings.host) ?? host ?? "127.0.0.1",
    port: toPort(given(serveSettings.port) ?? port),
    mount: toMount(given(serveSettings.mount) ?? mount, publicUrl),
    tls: readTls(given(serveSettings.tlsCert) ?? tls?.cert, given(serveSettings.tlsKey) ?? tls?.key),
    webhookPath: toWebhookPath(rest.webhooks),
    settleEvery,
    redisUrl,
  };
}

function toAuthorize(token: string | undefined, { authorize }: GatewayConfig): "public" | Authorize {
  if (token !== undefined && authorize !== undefined)
    throw invalidOption("who may call is stated twice: take out KEYWAY_TOKEN, or authorize of the config file");
  if (token !== undefined) return authorizeByToken(toTokens(token));
  if (authorize !== undefined) return authorize;
  throw invalidOption(
    "nobody may call yet. Add a line to the environment: KEYWAY_TOKEN=<what callers send; make one by openssl rand -hex 32>",
  );
}

function toEndpoints(list: string | undefined, { endpoints }: GatewayConfig): KeywayOptions["endpoints"] {
  if (list !== undefined && endpoints !== undefined)
    throw invalidOption(
      "what may be called is stated twice: take out KEYWAY_ENDPOINTS or --endpoints, or endpoints of the config file",
    );
  if (list !== undefined) return list.trim() === "any" ? "any" : toList(list);
  if (endpoints !== undefined) return endpoints;
  throw invalidOption("nothing may be called yet. Add a line to the environment: KEYWAY_ENDPOINTS=fal-ai/flux/**");
}

/** A gateway without a key would answer 500 to everything, and one that was meant for an emulator would spend: neither starts. */
function checkKey({ apiKey, upstream }: GatewayConfig): void {
  const { KEYWAY_UPSTREAM: emulator = "", NODE_ENV: mode } = process.env;
  if (upstream !== undefined) return;
  if (emulator !== "" && mode === "production")
    throw invalidOption(
      "KEYWAY_UPSTREAM leads to an emulator, and in production calls go to fal.ai: add --dev, or take KEYWAY_UPSTREAM out",
    );
  if (apiKey === undefined && emulator === "" && keyFromEnvironment() === undefined)
    throw invalidOption("there is no key. Add a line to the environment: FAL_KEY=<key id>:<key secret>");
}

function toLimits(given: Arguments["given"], limits: LimitsOption | undefined): LimitsOption | undefined {
  const requests = toNumber(serveSettings.dailyRequests, given(serveSettings.dailyRequests));
  const usd = toNumber(serveSettings.dailyUsd, given(serveSettings.dailyUsd));
  if (requests === undefined && usd === undefined) return limits;
  const daily = {
    ...(requests === undefined ? {} : { requests: { max: requests, per: "day" } as const }),
    ...(usd === undefined ? {} : { budget: { usd, per: "day" } as const }),
  };
  return { ...limits, global: { ...limits?.global, ...daily } };
}

function withLog(observe: KeywayOptions["observe"]): KeywayOptions["observe"] {
  return (event) => {
    console.log(JSON.stringify(event));
    observe?.(event);
  };
}

function toNumber({ flag, env }: Setting, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (text.trim() !== "" && Number.isFinite(number) && number >= 0) return number;
  throw invalidOption(`--${flag} (${env.join(", ")}) takes a number, not "${text}"`);
}

function toPort(given: string | number | undefined): number {
  const port = Number(given ?? 4200);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535 && given !== "") return port;
  throw invalidOption(`--port takes a number from 0 to 65535, not "${given}"`);
}

function toMount(given: string | undefined, publicUrl: string | undefined): string {
  const path =
    given ?? (publicUrl !== undefined && URL.canParse(publicUrl) ? new URL(publicUrl).pathname : "/api/fal/proxy");
  if (/^(?:\/[\w.~-]+)*\/?$/.test(path)) return path.replace(/\/$/, "");
  throw invalidOption(`--mount takes a plain path such as /api/fal/proxy, not "${path}"`);
}

/** Where fal is told to deliver; what is no URL is left to Keyway to refuse. */
function toWebhookPath(webhooks: KeywayOptions["webhooks"]): string | undefined {
  if (webhooks === undefined) return undefined;
  const { url } = webhooks;
  return url !== undefined && URL.canParse(url) ? new URL(url).pathname : "/api/fal/webhook";
}

function readTls(cert: string | undefined, key: string | undefined): GatewaySettings["tls"] {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw invalidOption("TLS takes two files: --tls-cert <file> --tls-key <file>");
  return { cert: readPem("--tls-cert", cert), key: readPem("--tls-key", key) };
}

function readPem(flag: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw invalidOption(`${flag}: ${file} cannot be read (${codeOf(error)}). Name a file that this process may read`);
  }
}
