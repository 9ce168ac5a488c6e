import { createHmac } from "node:crypto";

/** HMAC-SHA-256 without WebCrypto's way through another thread. */
export function hmac(secret: string, message: Uint8Array): Uint8Array {
  return createHmac("sha256", secret).update(message).digest();
}
