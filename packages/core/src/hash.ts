import type { Macs } from "./mac.ts";
import { createRecent } from "./recent.ts";

const encoder = new TextEncoder();

/** HMAC-SHA-256 of ids, keyed by the namespace, hex, 32 characters. */
export interface Hashes {
  /** For ids that come again: the latest ones are kept. */
  of(id: string): string | Promise<string>;
  /** For ids that hardly do, such as a job's. */
  once(id: string): string | Promise<string>;
}

const kept = 20_000;
const longestKept = 200;

export function createHashes(namespace: string, macs: Macs): Hashes {
  const known = createRecent<string>(kept);

  function compute(id: string): string | Promise<string> {
    const mac = macs.hmac(`keyway ${namespace}`, encoder.encode(id));
    return mac instanceof Uint8Array ? toHex(mac) : mac.then(toHex);
  }

  function keep(id: string, hash: string): string {
    if (id.length <= longestKept) known.set(id, hash);
    return hash;
  }

  return {
    of(id) {
      const before = known.get(id);
      if (before !== undefined) return before;
      const hash = compute(id);
      return typeof hash === "string" ? keep(id, hash) : hash.then((text) => keep(id, text));
    },
    once: compute,
  };
}

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function toHex(mac: Uint8Array): string {
  let text = "";
  for (const byte of mac.subarray(0, 16)) text += digits[byte];
  return text;
}
