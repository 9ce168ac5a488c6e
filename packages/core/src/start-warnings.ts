import { keyFromEnvironment, readEnvironment } from "./api-key.ts";
import { ProxyError } from "./errors.ts";
import type { Settings } from "./options.ts";
import { findServerless } from "./platform.ts";
import { ofProcess } from "./process.ts";

/** Says what is dangerous in the settings when an instance is made: each line once per process. */
export function warnOfDangers(settings: Settings, inMemory: boolean): void {
  const said = ofProcess("warnings", () => new Set<string>());
  for (const danger of dangersOf(settings, inMemory)) {
    if (said.has(danger)) continue;
    said.add(danger);
    settings.log.warn(danger);
  }
}

function dangersOf({ apiKey, limits, production, upstream }: Settings, inMemory: boolean): string[] {
  const dangers: string[] = [];
  if (production && limits.global.budget === undefined && limits.global.requests === undefined) {
    dangers.push(
      'no cap for all callers together is stated; write limits: { global: { requests: { max: 10_000, per: "day" } } }, or a budget',
    );
  }
  if (apiKey === undefined && keyFromEnvironment() === undefined) {
    dangers.push("FAL_KEY is not set: every call will be answered 500 key_missing until it is");
  }
  if (production && readEnvironment("KEYWAY_UPSTREAM") !== undefined && upstream === undefined) {
    dangers.push(
      "KEYWAY_UPSTREAM is ignored in production: calls go to fal.ai. State the option upstream if they should not",
    );
  }
  const platform = findServerless();
  if (inMemory && platform !== undefined) {
    dangers.push(
      `limits and money are counted in memory, and ${platform} runs many instances that each count for themselves: state a store they share, store: createRedisStore(...) of @keyway/redis`,
    );
  }
  return dangers;
}

/** Node's switch turns certificate checks off for global fetch, whatever a transport asks for: then anybody on the way reads the key. */
export function checkTlsVerification({ log, production }: Settings): void {
  if (readEnvironment("NODE_TLS_REJECT_UNAUTHORIZED") !== "0") return;
  const mend =
    "NODE_TLS_REJECT_UNAUTHORIZED=0 turns certificate checks off: unset it, and trust your own CA by NODE_EXTRA_CA_CERTS";
  if (production) throw new ProxyError("invalid_option", { message: `Keyway: ${mend}.` });
  log.warn(mend);
}
