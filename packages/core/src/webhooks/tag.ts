import { fromBase64Url, toBase64Url } from "../base64url.ts";
import type { JobOrigin } from "../job.ts";

/** Seals what must be known of a job into the URL that its result is delivered to, so that nobody else can read or write it. */
export interface TagSealer {
  seal(origin: JobOrigin): Promise<string>;
  /** Undefined when the tag is not one of ours. */
  open(tag: string): Promise<JobOrigin | undefined>;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const ivLength = 12;
const longest = 8192;

/** @param secrets The first seals; all of them open. Asked for on every use, because keys rotate. */
export function createTagSealer(secrets: () => readonly string[] | Promise<readonly string[]>): TagSealer {
  const keys = new Map<string, Promise<CryptoKey>>();

  function keyOf(secret: string): Promise<CryptoKey> {
    const known = keys.get(secret);
    if (known !== undefined) return known;
    if (keys.size >= 16) keys.clear();
    const key = deriveKey(secret);
    keys.set(secret, key);
    return key;
  }

  return {
    async seal({ caller, isPublic, owned, endpoint, at }) {
      const [secret = ""] = await secrets();
      const iv = crypto.getRandomValues(new Uint8Array(ivLength));
      const text = encoder.encode(JSON.stringify([caller, isPublic ? 1 : 0, owned ? 1 : 0, endpoint, at]));
      const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await keyOf(secret), text));
      const bytes = new Uint8Array(ivLength + sealed.length);
      bytes.set(iv);
      bytes.set(sealed, ivLength);
      return toBase64Url(bytes);
    },
    async open(tag) {
      const bytes = tag.length > longest ? undefined : fromBase64Url(tag);
      if (bytes === undefined || bytes.length <= ivLength) return undefined;
      const iv = bytes.subarray(0, ivLength);
      for (const secret of await secrets()) {
        const sealed = bytes.subarray(ivLength);
        const open = crypto.subtle.decrypt({ name: "AES-GCM", iv }, await keyOf(secret), sealed);
        const text = await open.then(
          (plain) => decoder.decode(plain),
          () => undefined,
        );
        if (text !== undefined) return readOrigin(text);
      }
      return undefined;
    },
  };
}

function readOrigin(text: string): JobOrigin {
  const [caller, isPublic, owned, endpoint, at]: [string, number, number, string, number] = JSON.parse(text);
  return { caller, isPublic: isPublic === 1, owned: owned === 1, endpoint, at };
}

/** A key of its own, so that nothing else that the secret seals can be taken for a tag (RFC 5869). */
async function deriveKey(secret: string): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey("raw", encoder.encode(secret), "HKDF", false, ["deriveKey"]);
  const from = {
    name: "HKDF",
    hash: "SHA-256",
    salt: encoder.encode("keyway"),
    info: encoder.encode("tags of webhook URLs, 1"),
  };
  return crypto.subtle.deriveKey(from, material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}
