import { createHmac, hash } from "node:crypto";
import type { PlatformDigests } from "@keyway/core";

/** By node:crypto: WebCrypto goes through a thread pool, at ten times the cost for texts of this size. */
export const digests: PlatformDigests = {
  hmac: (secret, message) => createHmac("sha256", secret).update(message).digest(),
  sha256: (text) => hash("sha256", text),
};
