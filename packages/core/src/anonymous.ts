import { ProxyError } from "./errors.ts";
import { isBuilding } from "./platform.ts";
import { bucketOf } from "./rules/address.ts";
import type { Authorize, AuthorizeContext, Authorization } from "./rules/caller.ts";
import { createSealer } from "./seal.ts";

/** Options of {@link anonymous}. */
export interface AnonymousOptions {
  /** Signs the cookie; at least 16 characters. `[new, ...previous]` to change it. */
  readonly secret: string | readonly string[];
  /** The cookie's name. Default `keyway_id`. Where the app is reached over https, `__Host-` stands before it. */
  readonly cookie?: string;
  /** How long a visitor keeps his identity, in days. Default 365. */
  readonly days?: number;
}

/**
 * An `authorize` for apps without a login: each visitor gets an id in a signed, HttpOnly cookie, and is counted by his address as well,
 * so that dropping the cookie gains nothing.
 *
 * @example createKeyway({ authorize: anonymous({ secret: process.env.COOKIE_SECRET ?? "" }), limits: { caller: { budget: { usd: 1, per: "day" } } }, ... })
 */
export function anonymous({ secret, cookie = "keyway_id", days = 365 }: AnonymousOptions): Authorize {
  const secrets = [secret].flat();
  const isWeak = secrets.length === 0 || secrets.some((one) => typeof one !== "string" || one.length < 16);
  // While an app is built its secrets need not be there.
  if (isWeak && !isBuilding()) {
    throw new ProxyError("invalid_option", {
      message:
        'Keyway: anonymous needs a secret of at least 16 characters: anonymous({ secret: process.env.COOKIE_SECRET ?? "" })',
    });
  }
  const sealer = createSealer(() => secrets);
  const subject = { caller: "anonymous", app: cookie };
  return async (context): Promise<Authorization> => {
    const group = bucketOf(context.address);
    // No other host of the same site can set such a cookie (RFC 6265bis, section 4.1.3.2).
    const name = context.secure ? `__Host-${cookie}` : cookie;
    const given = context.cookie(name);
    const known = given === undefined ? undefined : await sealer.open(given, subject);
    if (known !== undefined) return { id: `anonymous ${known}`, group };
    if (isCrossOrigin(context)) return { deny: true, status: 401, message: noCookie };
    const id = crypto.randomUUID();
    const sealed = await sealer.seal({ ...subject, requestId: id });
    const secure = context.secure ? "; Secure" : "";
    return {
      id: `anonymous ${id}`,
      group,
      setCookie: `${name}=${sealed}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${days * 86_400}${secure}`,
    };
  };
}

const noCookie =
  'Anonymous callers of another origin must bring their cookie: send requests with credentials: "include" after one request from the app\'s own origin, or sign callers in.';

/** A page of another origin could never keep the cookie, and would be somebody new on every call. */
function isCrossOrigin({ headers, ownOrigin }: AuthorizeContext): boolean {
  const site = headers.get("sec-fetch-site");
  if (site !== null) return site !== "same-origin" && site !== "none";
  const origin = headers.get("origin");
  return origin !== null && ownOrigin !== undefined && origin !== ownOrigin;
}
