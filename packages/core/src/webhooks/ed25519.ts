import { fromBase64Url } from "../base64url.ts";
import { toHex } from "../hex.ts";
import { createRecent } from "../recent.ts";

const keyLength = 32;
const signatureLength = 64;

/** The order of the base point, little-endian (RFC 8032, section 5.1). */
const order = Uint8Array.from([
  0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 0, 0x10,
]);

/** Encodings of the points of small order, without the sign bit: one signature can be right for many messages under such a key. */
const smallOrder: readonly string[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

const imported = createRecent<Promise<CryptoKey | undefined>>(64);

/** A public key from the `x` of a JSON Web Key (RFC 8037); undefined when it is none that may be used. */
export function importEd25519(x: string): Promise<CryptoKey | undefined> {
  const known = imported.get(x);
  if (known !== undefined) return known;
  const bytes = x.length === 43 ? fromBase64Url(x) : undefined;
  if (bytes?.length !== keyLength || isSmallOrder(bytes)) return Promise.resolve(undefined);
  const key = crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]).catch(() => undefined);
  imported.set(x, key);
  return key;
}

/** Whether the signature is right for the message. A signature has one spelling only: its scalar is below the order. */
export async function isSigned(
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  message: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (signature.length !== signatureLength || !isBelowOrder(signature.subarray(keyLength))) return false;
  return crypto.subtle.verify("Ed25519", key, signature, message);
}

function isSmallOrder(key: Uint8Array): boolean {
  const hex = toHex(key.subarray(0, keyLength - 1)) + toHex(Uint8Array.of((key[keyLength - 1] ?? 0) & 0x7f));
  return smallOrder.includes(hex);
}

function isBelowOrder(scalar: Uint8Array): boolean {
  for (let at = keyLength - 1; at >= 0; at -= 1) {
    const [given = 0, limit = 0] = [scalar[at], order[at]];
    if (given !== limit) return given < limit;
  }
  return false;
}
