import { type ApiKeyOption, keyFromEnvironment, whyNotKey } from "./api-key.ts";
import { ProxyError } from "./errors.ts";
import type { KeywayOptions } from "./options.ts";
import { deriveSecret } from "./seal.ts";
import type { Soon } from "./soon.ts";

/** What ids are sealed with: as stated, or derived from the api key, which may rotate. */
export function resolveSecrets(
  secret: KeywayOptions["secret"],
  apiKey: ApiKeyOption | undefined,
): () => Soon<readonly string[]> {
  if (secret !== undefined) {
    const stated = typeof secret === "string" ? [secret] : [...secret];
    return () => stated;
  }
  let derived: { readonly key: string; secrets: Soon<readonly string[]> } | undefined;
  return () => {
    const key = typeof apiKey === "string" ? apiKey : keyFromEnvironment();
    if (derived !== undefined && derived.key === key) return derived.secrets;
    if (key === undefined || whyNotKey(key) !== undefined)
      throw new ProxyError("key_missing", { log: "fal's api key is missing: set FAL_KEY" });
    const deriving = deriveSecret(key).then((one) => [one]);
    const made: typeof derived = { key, secrets: deriving };
    deriving.then(
      (secrets) => (made.secrets = secrets),
      () => undefined,
    );
    derived = made;
    return deriving;
  };
}

/** What must not stand in the log. */
export function secretsToHide(apiKey: ApiKeyOption | undefined, secret: KeywayOptions["secret"]): string[] {
  const key = typeof apiKey === "string" ? apiKey : undefined;
  return [key, keyFromEnvironment(), ...(typeof secret === "string" ? [secret] : (secret ?? []))].filter(
    (text) => text !== undefined,
  );
}
