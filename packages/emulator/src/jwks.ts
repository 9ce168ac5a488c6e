import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { json, type WholeAnswer } from "./answer.ts";

/** The Ed25519 key that stands for fal's webhook key. */
export interface WebhookKey {
  readonly privateKey: KeyObject;
  /** The key set that `/.well-known/jwks.json` answers (fal docs, webhooks). */
  readonly jwks: { readonly keys: readonly { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string }[] };
}

/** DER of an Ed25519 private key up to its 32 bytes (RFC 8410, section 7). */
const derHead = Buffer.from("302e020100300506032b657004220420", "hex");

export function createWebhookKey(seed: string): WebhookKey {
  const bytes = createHash("sha256").update(`webhook\n${seed}`).digest();
  const privateKey = createPrivateKey({ key: Buffer.concat([derHead, bytes]), format: "der", type: "pkcs8" });
  const { x = "" } = createPublicKey(privateKey).export({ format: "jwk" });
  return { privateKey, jwks: { keys: [{ kty: "OKP", crv: "Ed25519", x }] } };
}

export function answerJwks({ jwks }: WebhookKey): WholeAnswer {
  return json(200, jwks);
}
