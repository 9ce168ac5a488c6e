import { ProxyError } from "./errors.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Soon } from "./soon.ts";

/** fal's API key, `id:secret`; a function is asked per call, for apps with several accounts. */
export type ApiKeyOption = string | ((caller: { readonly id: string }) => string | Promise<string>);

/** The environment as any runtime shows it. */
export function readEnvironment(name: string): string | undefined {
  const scope = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return scope.process?.env?.[name];
}

/** `FAL_KEY`, else `FAL_KEY_ID:FAL_KEY_SECRET`, as fal's clients read them; empty counts as unset. */
export function keyFromEnvironment(): string | undefined {
  const key = readEnvironment("FAL_KEY");
  if (key !== undefined && key !== "") return key;
  const id = readEnvironment("FAL_KEY_ID");
  const secret = readEnvironment("FAL_KEY_SECRET");
  return id !== undefined && id !== "" && secret !== undefined && secret !== "" ? `${id}:${secret}` : undefined;
}

/** Why a text cannot be a key, or undefined when it can. Never shows the text. */
export function whyNotKey(key: unknown): string | undefined {
  if (typeof key !== "string") return "is not a string";
  if (key === "") return "is empty";
  if (["undefined", "null", "NaN", "[object Object]"].includes(key)) return "is the name of a missing value, not a key";
  if (/^\s|\s$/.test(key)) return "has white space around it";
  if (/^(?:key|bearer)\s/i.test(key)) return "starts with the scheme: give the key alone";
  if (!/^[!-~]+$/.test(key)) return "has a character that a header cannot hold, such as a line break";
  return undefined;
}

const mostNoted = 16;

/** Notes the latest keys that a function gives, so that the log can hide them too. */
export function noteKeys(option: ApiKeyOption | undefined, noted: Set<string>): ApiKeyOption | undefined {
  if (typeof option !== "function") return option;
  return async (caller) => {
    const key = await option(caller);
    if (typeof key !== "string") return key;
    noted.delete(key);
    noted.add(key);
    const [oldest = key] = noted;
    if (noted.size > mostNoted) noted.delete(oldest);
    return key;
  };
}

/** The key for one call. */
export function resolveKey(option: ApiKeyOption | undefined, caller: Pick<KnownCaller, "id">): Soon<string> {
  if (typeof option === "function") return askForKey(option, caller.id).then(checkKey);
  return checkKey(option ?? keyFromEnvironment());
}

function checkKey(key: string | undefined): string {
  const why = key === undefined ? "is missing: set FAL_KEY, or the option apiKey" : whyNotKey(key);
  if (key === undefined || why !== undefined) throw new ProxyError("key_missing", { log: `fal's api key ${why}` });
  return key;
}

async function askForKey(option: Exclude<ApiKeyOption, string>, id: string): Promise<string> {
  try {
    return await option({ id });
  } catch (cause) {
    throw new ProxyError("key_missing", { cause, log: "the option apiKey failed" });
  }
}
