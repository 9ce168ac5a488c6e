import { toBase64Url } from "./base64url.ts";
import { toHex } from "./hex.ts";
import type { Soon } from "./soon.ts";

const encoder = new TextEncoder();

/** HMAC-SHA-256 (RFC 2104) of a text in UTF-8, base64 for URLs without padding; at once where it can. */
export type Hmac = (secret: string, text: string) => Soon<string>;

/** SHA-256 of a text in UTF-8, hex; at once where it can. */
export type Sha256 = (text: string) => Soon<string>;

/** What a platform computes itself, faster than WebCrypto. */
export interface PlatformDigests {
  readonly hmac: Hmac;
  readonly sha256: Sha256;
}

/** How this instance computes digests: by WebCrypto, until a transport brings the platform's own. */
export interface Digests extends PlatformDigests {
  readonly use: (faster: PlatformDigests) => void;
}

export function createDigests(): Digests {
  let current: PlatformDigests = { hmac: createWebHmac(), sha256: webSha256 };
  return {
    hmac: (secret, text) => current.hmac(secret, text),
    sha256: (text) => current.sha256(text),
    use(faster) {
      current = faster;
    },
  };
}

async function webSha256(text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(text))));
}

/** HMAC by WebCrypto, the imported keys kept. */
function createWebHmac(): Hmac {
  const keys = new Map<string, Promise<CryptoKey>>();
  return async (secret, text) => {
    let key = keys.get(secret);
    if (key === undefined) {
      key = crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
      if (keys.size >= 16) keys.clear();
      keys.set(secret, key);
    }
    return toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", await key, encoder.encode(text))));
  };
}
