const encoder = new TextEncoder();
const macLength = 22;

/** Seals job ids to a caller and an app, without keeping anything: `<id>.<mac>`. */
export interface Sealer {
  seal(subject: Subject): Promise<string>;
  /** fal's own id, or undefined when the seal is not right for this caller and app. */
  open(sealed: string, subject: Omit<Subject, "requestId">): Promise<string | undefined>;
}

interface Subject {
  readonly caller: string;
  readonly app: string;
  readonly requestId: string;
}

/** Computes HMAC-SHA-256. A transport may bring a faster one. */
export type Hmac = (secret: string, message: Uint8Array) => Uint8Array | Promise<Uint8Array>;

/**
 * @param secrets The first seals; all of them open. Asked for on every use, because keys rotate.
 */
export function createSealer(
  secrets: () => readonly string[] | Promise<readonly string[]>,
  hmac: Hmac = createWebHmac(),
): Sealer {
  async function macOf(secret: string, subject: Subject): Promise<string> {
    const mac = await hmac(
      secret,
      encoder.encode(JSON.stringify(["keyway job 1", subject.caller, subject.app, subject.requestId])),
    );
    return toBase64Url(mac.subarray(0, 16));
  }
  return {
    async seal(subject) {
      const [secret = ""] = await secrets();
      return `${subject.requestId}.${await macOf(secret, subject)}`;
    },
    async open(sealed, subject) {
      const at = sealed.length - macLength - 1;
      if (at < 1 || sealed[at] !== ".") return undefined;
      const requestId = sealed.slice(0, at);
      const given = sealed.slice(at + 1);
      let opened = false;
      for (const secret of await secrets()) {
        if (isSame(await macOf(secret, { ...subject, requestId }), given)) opened = true;
      }
      return opened ? requestId : undefined;
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

/** A secret that every instance with the same api key agrees on (RFC 5869). */
export async function deriveSecret(apiKey: string): Promise<string> {
  const material = await crypto.subtle.importKey("raw", encoder.encode(apiKey), "HKDF", false, ["deriveBits"]);
  const params = {
    name: "HKDF",
    hash: "SHA-256",
    salt: encoder.encode("keyway"),
    info: encoder.encode("job ids and webhook URLs, 1"),
  };
  return toBase64Url(new Uint8Array(await crypto.subtle.deriveBits(params, material, 256)));
}

/** Compares in time that does not depend on where the strings differ. Both have the same public length. */
function isSame(a: string, b: string): boolean {
  let difference = a.length ^ b.length;
  for (let index = 0; index < a.length; index += 1) difference |= a.charCodeAt(index) ^ b.charCodeAt(index);
  return difference === 0;
}

function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
