const encoder = new TextEncoder();

/** SHA-256 of namespaced ids, hex, 32 characters; the latest ones are kept. */
export interface Hashes {
  of(id: string): string | Promise<string>;
}

const kept = 10_000;
const longestKept = 200;

export function createHashes(namespace: string): Hashes {
  const known = new Map<string, string>();
  async function compute(id: string): Promise<string> {
    const digest = await crypto.subtle.digest("SHA-256", encoder.encode(`${namespace.length}:${namespace}:${id}`));
    const hash = toHex(new Uint8Array(digest)).slice(0, 32);
    if (id.length > longestKept) return hash;
    if (known.size >= kept) known.delete(known.keys().next().value ?? "");
    known.set(id, hash);
    return hash;
  }
  return { of: (id) => known.get(id) ?? compute(id) };
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
