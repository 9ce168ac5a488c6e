import { collectStream } from "../body-stream.ts";
import { isLoopback } from "../loopback.ts";
import { importEd25519 } from "./ed25519.ts";

/** A JSON Web Key Set (RFC 7517). What is not an Ed25519 key for signatures is passed over. */
export interface KeySet {
  readonly keys: readonly object[];
}

/** Gives a key set; asked again with `refresh` when no key was right, so a cooldown is its own concern. Rejects when it has none. */
export type KeySetFetcher = (ask: { readonly refresh: boolean }) => KeySet | Promise<KeySet>;

/** fal's key set, one for all accounts (fal docs, webhooks). */
const falJwksUrl = "https://rest.fal.ai/.well-known/jwks.json";

/** Options of {@link createJwks}. */
export interface JwksOptions {
  /** https, or http on this machine. Default fal's own. */
  readonly url?: string;
  /** Default global fetch. */
  readonly fetch?: typeof fetch;
  /** Told once of what an operator should know. Default `console.warn`. */
  readonly warn?: (message: string) => void;
  /** Clock in Unix milliseconds, for tests. */
  readonly now?: () => number;
}

const outage = "fal's key set could not be fetched; the last good keys are used for up to 24 hours";
const mostKeys = 16;
const mostBytes = 256 * 1024;
const patience = 5000;
/** At most one fetch in this time, whatever is delivered and however it goes. */
const cooldown = 30_000;
/** From then on newer keys are fetched beside the work. */
const fresh = 60 * 60_000;
/** Keys live through an outage so long (fal docs, webhooks: cache at most 24 hours). */
const longest = 24 * 60 * 60_000;

/**
 * Fetches fal's key set and keeps it: newer keys after an hour, or when no key is right, at most once in 30 seconds; the last good
 * ones through an outage of up to 24 hours.
 *
 * @example const jwks = createJwks();
 */
export function createJwks(options: JwksOptions = {}): KeySetFetcher {
  const { url = falJwksUrl, now = Date.now } = options;
  const warn = options.warn ?? ((message) => console.warn(`[keyway] ${message}`));
  const ask = options.fetch ?? ((input, init) => fetch(input, init));
  if (!isSafe(url)) throw new TypeError(`Keyway: a key set is fetched over https: url: "${falJwksUrl}".`);
  let last: { readonly set: KeySet; readonly at: number } | undefined;
  let tried = Number.NEGATIVE_INFINITY;
  let failure: unknown;
  let fetching: Promise<void> | undefined;
  const warned = new Set<string>();

  async function load(): Promise<void> {
    try {
      const set = await fetchKeySet(url, ask);
      const { length } = set.keys.filter(isEd25519);
      if (length > mostKeys) tell(`fal's key set has ${length} keys; the first ${mostKeys} are used`);
      last = { set, at: now() };
      warned.delete(outage);
    } catch (error) {
      failure = error;
      tell(outage);
    }
  }

  function tell(message: string): void {
    if (!warned.has(message)) warn(`${message}`);
    warned.add(message);
  }

  function refresh(): Promise<void> {
    if (fetching !== undefined) return fetching;
    if (Math.abs(now() - tried) < cooldown) return Promise.resolve();
    tried = now();
    fetching = load().finally(() => (fetching = undefined));
    return fetching;
  }

  return async ({ refresh: wantsNewer }) => {
    const age = last === undefined ? Number.POSITIVE_INFINITY : Math.abs(now() - last.at);
    const refreshed = age > fresh || wantsNewer ? refresh() : undefined;
    if (wantsNewer || age > longest) await refreshed;
    if (last !== undefined && Math.abs(now() - last.at) <= longest) return last.set;
    throw new Error("fal's key set is not to be had", { cause: failure });
  };
}

function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}

async function fetchKeySet(url: string, ask: typeof fetch): Promise<KeySet> {
  const signal = AbortSignal.timeout(patience);
  const response = await ask(url, { headers: { accept: "application/json" }, redirect: "manual", signal });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the key set was answered with status ${response.status}`);
  }
  const bytes = await collectStream(response.body, { maxBytes: mostBytes, within: patience });
  const set: unknown = JSON.parse(new TextDecoder().decode(bytes));
  if (!isKeySet(set) || !set.keys.some(isEd25519)) throw new Error("the key set holds no Ed25519 key");
  return set;
}

function isKeySet(value: unknown): value is KeySet {
  return typeof value === "object" && value !== null && "keys" in value && Array.isArray(value.keys);
}

/** The keys of a set that may verify, at most 16. */
export async function usableKeys(set: unknown): Promise<readonly CryptoKey[]> {
  if (!isKeySet(set)) return [];
  const found = set.keys.filter(isEd25519).slice(0, mostKeys);
  const keys = await Promise.all(found.map(({ x }) => importEd25519(x)));
  return keys.filter((key) => key !== undefined);
}

/** By kind and curve, never by what a delivery says (RFC 8037, section 2; RFC 7517, section 4). */
function isEd25519(key: unknown): key is { readonly x: string } {
  if (typeof key !== "object" || key === null) return false;
  const { kty, crv, x, alg, use }: Record<string, unknown> = { ...key };
  const signs = (use === undefined || use === "sig") && (alg === undefined || alg === "EdDSA" || alg === "Ed25519");
  return kty === "OKP" && crv === "Ed25519" && typeof x === "string" && signs;
}
