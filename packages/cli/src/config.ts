import { invalidOption } from "@keyway/core";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { KeywayOptions } from "@keyway/core";
import { codeOf, messageOf } from "./thrown.ts";

/** What `keyway.config.ts` exports by default: Keyway's options, and how the gateway listens. Flags and environment go before it. */
export interface GatewayConfig extends Partial<KeywayOptions> {
  /** The address to listen on. Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** Default 4200; 0 takes any free port. */
  readonly port?: number | undefined;
  /** The path below which calls are answered. Default: the path of `publicUrl`, else `/api/fal/proxy`. */
  readonly mount?: string | undefined;
  /** Files in PEM. Without them the gateway speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined;
  /** Writes one line of JSON per decision and finished call to standard output. Default false. */
  readonly log?: boolean | undefined;
  /**
   * How often jobs that nobody reads any more are settled, and told to `webhooks.onResult` where no webhook came, in milliseconds.
   * Default 60 s.
   */
  readonly settleEvery?: number | undefined;
}

/**
 * Gives a config its type.
 *
 * @example
 * export default defineConfig({ endpoints: ["fal-ai/flux/**"], publicUrl: "https://fal.example/api/fal/proxy" });
 */
export function defineConfig(config: GatewayConfig): GatewayConfig {
  return config;
}

const fileNames = ["ts", "mts", "js", "mjs"].map((ending) => `keyway.config.${ending}`);

/** Loads the named file, else the first `keyway.config.*` of the working directory, else nothing. Node strips the types itself. */
export async function loadConfig(named: string | undefined): Promise<GatewayConfig> {
  const file = named ?? fileNames.find((name) => existsSync(name));
  if (file === undefined) return {};
  const path = resolve(file);
  if (!existsSync(path)) throw invalidOption(`there is no file ${file}. Write --config with the path of one`);
  const config = defaultOf(await load(path, file));
  if (typeof config !== "object" || config === null)
    throw invalidOption(`${file} has no default export. Write export default { endpoints: ["fal-ai/flux/**"] }`);
  return config;
}

function defaultOf(loaded: object): unknown {
  return "default" in loaded ? loaded.default : undefined;
}

async function load(path: string, file: string): Promise<object> {
  try {
    return await import(pathToFileURL(path).href);
  } catch (error) {
    if (codeOf(error) === "ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX")
      throw invalidOption(`${file} has TypeScript that makes code, such as enum: use types that can be left out`);
    throw invalidOption(
      `${file} could not be loaded (${messageOf(error).split("\n", 1)[0]}): mend it, or name another by --config`,
    );
  }
}
