const encoder = new TextEncoder();

/** Computes HMAC-SHA-256 (RFC 2104), at once where it can. */
export type Hmac = (secret: string, message: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/** How this instance computes HMACs: by WebCrypto, until a transport brings the platform's own, which is faster. */
export interface Macs {
  readonly hmac: Hmac;
  readonly use: (faster: Hmac) => void;
}

export function createMacs(): Macs {
  let current = createWebHmac();
  return {
    hmac: (secret, message) => current(secret, message),
    use(faster) {
      current = faster;
    },
  };
}

/** HMAC by WebCrypto, the imported keys kept. */
function createWebHmac(): Hmac {
  const keys = new Map<string, Promise<CryptoKey>>();
  return async (secret, message) => {
    let key = keys.get(secret);
    if (key === undefined) {
      key = crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
      if (keys.size >= 16) keys.clear();
      keys.set(secret, key);
    }
    return new Uint8Array(await crypto.subtle.sign("HMAC", await key, new Uint8Array(message)));
  };
}
