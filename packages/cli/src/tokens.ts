import { invalidOption } from "@keyway/core";
import { createHash, timingSafeEqual } from "node:crypto";
import type { Authorize } from "@keyway/core";
import { toList } from "./flags.ts";

/** Every token names the same caller, so that a job outlives the token it was made with. */
const caller = { id: "gateway" };

/**
 * Lets in who sends one of the tokens as `Authorization: Bearer`, or as `Key`, which is how fal's own clients send what they hold.
 * Hashes are compared, in a time that does not depend on them.
 */
export function authorizeByToken(tokens: readonly string[]): Authorize {
  const known = tokens.map(hashOf);
  return ({ headers }) => {
    const given = /^(?:bearer|key) +(\S+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (given === undefined) return null;
    const hash = hashOf(given);
    return known.filter((one) => timingSafeEqual(one, hash)).length > 0 ? caller : null;
  };
}

/** Reads `KEYWAY_TOKEN`; refuses what could be guessed, without showing it. */
export function toTokens(text: string): string[] {
  const tokens = toList(text);
  if (tokens.length > 0 && tokens.every((token) => /^[!-~]{16,}$/.test(token))) return tokens;
  throw invalidOption(
    "KEYWAY_TOKEN takes tokens of at least 16 printable characters, separated by commas. Make one: openssl rand -hex 32",
  );
}

function hashOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
