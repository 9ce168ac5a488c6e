import { hash } from "node:crypto";
import type { PlatformDigests } from "@keyway/core";
import { hmacSha256 } from "./hmac.ts";

/** By node:crypto: WebCrypto goes through a thread pool, at ten times the cost for texts of this size. */
export const digests: PlatformDigests = {
  hmac: hmacSha256,
  sha256: (text) => hash("sha256", text),
};
