import { type JsonWebKey, type KeyObject, createHash, createPublicKey, generateKeyPairSync, sign } from "node:crypto";

/** A key pair in the place of fal's. */
export interface Signer {
  readonly jwks: { readonly keys: readonly JsonWebKey[] };
  /** The four headers of a delivery of these bytes. `now`: Unix seconds. */
  headers(body: Uint8Array, more?: { requestId?: string; userId?: string; now?: number }): Record<string, string>;
}

export function createSigner(privateKey: KeyObject = generateKeyPairSync("ed25519").privateKey): Signer {
  return {
    jwks: { keys: [createPublicKey(privateKey).export({ format: "jwk" })] },
    headers(body, { requestId = "req-1", userId = "user-1", now = Math.floor(Date.now() / 1000) } = {}) {
      return signedHeaders(privateKey, body, { requestId, userId, timestamp: String(now) });
    },
  };
}

function signedHeaders(
  key: KeyObject,
  body: Uint8Array,
  { requestId, userId, timestamp }: { requestId: string; userId: string; timestamp: string },
): Record<string, string> {
  const hash = createHash("sha256").update(body).digest("hex");
  const signature = sign(null, Buffer.from([requestId, userId, timestamp, hash].join("\n")), key);
  return {
    "x-fal-webhook-request-id": requestId,
    "x-fal-webhook-user-id": userId,
    "x-fal-webhook-timestamp": timestamp,
    "x-fal-webhook-signature": signature.toString("hex"),
  };
}
