import { toBase64Url } from "./base64url.ts";
import { type Digests, createDigests } from "./digests.ts";
import { createRecent } from "./recent.ts";
import { type Soon, andThen } from "./soon.ts";

const encoder = new TextEncoder();
/** Characters of the MAC that a seal has: 132 bits. */
const macLength = 22;

/** Seals job ids to a caller and an app, without keeping anything: `<id>.<mac>`. */
export interface Sealer {
  seal(subject: Subject): Soon<string>;
  /** fal's own id, or undefined when the seal is not right for this caller and app. Right ones are remembered. */
  open(sealed: string, subject: Omit<Subject, "requestId">): Soon<string | undefined>;
}

interface Subject {
  readonly caller: string;
  readonly app: string;
  readonly requestId: string;
}

const kept = 20_000;
const longestKept = 1000;

/**
 * @param secrets The first seals; all of them open. Asked for on every use, because keys rotate.
 */
export function createSealer(secrets: () => Soon<readonly string[]>, digests: Digests = createDigests()): Sealer {
  /** Seals that were right, and for whom, while the secrets are the same. */
  const opened = createRecent<Subject>(kept);
  let openedWith: unknown;

  function macOf(secret: string, { caller, app, requestId }: Subject): Soon<string> {
    const mac = digests.hmac(secret, JSON.stringify(["keyway job 1", caller, app, requestId]));
    return andThen(mac, (text) => text.slice(0, macLength));
  }

  async function verify(sealed: string, subject: Omit<Subject, "requestId">): Promise<string | undefined> {
    const at = sealed.length - macLength - 1;
    if (at < 1 || sealed[at] !== ".") return undefined;
    const requestId = sealed.slice(0, at);
    const given = sealed.slice(at + 1);
    const since = openedWith;
    let right = false;
    for (const secret of await secrets()) {
      if (isSame(await macOf(secret, { ...subject, requestId }), given)) right = true;
    }
    if (right && since === openedWith) remember(sealed, { ...subject, requestId });
    return right ? requestId : undefined;
  }

  function remember(sealed: string, { caller, app, requestId }: Subject): void {
    if (sealed.length + caller.length <= longestKept) opened.set(sealed, { caller, app, requestId });
  }

  return {
    seal: (subject) =>
      andThen(secrets(), ([secret = ""]) =>
        andThen(macOf(secret, subject), (mac) => {
          const sealed = `${subject.requestId}.${mac}`;
          remember(sealed, subject);
          return sealed;
        }),
      ),
    open(sealed, subject) {
      const now = secrets();
      if (now !== openedWith) opened.clear();
      openedWith = now;
      const known = opened.get(sealed);
      if (known?.caller === subject.caller && known.app === subject.app) return known.requestId;
      return verify(sealed, subject);
    },
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
