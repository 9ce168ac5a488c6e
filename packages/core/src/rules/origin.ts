import { callMethods } from "../call.ts";
import { ProxyError } from "../errors.ts";
import { type Head, type Header, type HeaderList, countOf, valueOf } from "../head.ts";
import type { Settings } from "../options.ts";
import { answerHeaderNames, requestHeaderNames } from "./headers.ts";

/**
 * Decides whether the page behind a request may call. Browsers attach cookies to requests that other sites make, so a request
 * with a cookie must show where it comes from (Fetch Metadata; OWASP, cross-site request forgery).
 */
export function checkOrigin(head: Head, form: "header" | "path" | "own", settings: Settings): void {
  const { headers } = head;
  if (countOf(headers, "origin") > 1) throw new ProxyError("repeated_header", { message: "Origin was sent twice." });
  const origin = valueOf(headers, "origin");
  const hasCookie = valueOf(headers, "cookie") !== undefined;
  const mode = valueOf(headers, "sec-fetch-mode");
  if (form === "path" && !head.upgrade && (mode === "navigate" || mode === "no-cors"))
    throw new ProxyError("forbidden_navigation");
  if (origin === "null") throw new ProxyError("forbidden_origin", { message: "Origin null may not call." });
  if (origin !== undefined) {
    // In development pages reach this machine by names that lead to it for a moment, and callers may need to show nothing.
    const showsNothing = !settings.production && valueOf(headers, "authorization") === undefined;
    if ((hasCookie || head.upgrade || showsNothing) && !isAllowed(origin, head, settings)) throw refuseOrigin(origin);
    return;
  }
  if (!hasCookie) return;
  checkSite(headers, form, head.upgrade);
}

function checkSite(headers: HeaderList, form: "header" | "path" | "own", upgrade: boolean): void {
  const site = valueOf(headers, "sec-fetch-site");
  if (site === "same-origin") return;
  if (site !== undefined)
    throw new ProxyError("forbidden_origin", { message: `A ${site} request with a cookie may not call.` });
  const proven = form === "header" || valueOf(headers, "x-keyway-client") !== undefined;
  if (upgrade || !proven) {
    throw new ProxyError("forbidden_origin", {
      message: "A request with a cookie must carry Origin or Sec-Fetch-Site here.",
    });
  }
}

/** The app's own origin as this caller may name it; undefined where it must have been stated. */
export function ownOrigin(head: Head, settings: Settings): string | undefined {
  if (settings.publicUrl !== undefined) return settings.publicUrl.origin;
  const host = privateHost(head, settings);
  return host === undefined ? undefined : `${head.secure ? "https" : "http"}://${host}`;
}

/** The proxy's own URL as this caller may name it, mount included; throws `public_url_missing` where it must have been stated. */
export function ownUrl(head: Head, mount: string, settings: Settings): string {
  if (settings.publicUrl !== undefined) return settings.publicUrl.href;
  const origin = ownOrigin(head, settings);
  if (origin === undefined) throw publicUrlMissing();
  return origin + mount;
}

function isAllowed(origin: string, head: Head, settings: Settings): boolean {
  if (settings.origins.includes(origin)) return true;
  const named = origin.toLowerCase();
  if (settings.publicUrl !== undefined) {
    if (named === settings.publicUrl.origin) return true;
    const local = privateHost(head, settings);
    return local !== undefined && (named === `http://${local}` || named === `https://${local}`);
  }
  const host = privateHost(head, settings);
  if (host === undefined) throw publicUrlMissing();
  return named === `http://${host}` || named === `https://${host}`;
}

/** In development the Host header is believed where it names this machine or a private address: nobody else's DNS can say that. */
function privateHost(head: Head, settings: Settings): string | undefined {
  if (settings.production) return undefined;
  const host = valueOf(head.headers, "host")?.toLowerCase();
  return host !== undefined && isPrivateHost(host) ? host : undefined;
}

const privateHosts =
  /^(?:localhost|(?:[a-z0-9-]+\.)+localhost|127(?:\.\d{1,3}){3}|10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}|169\.254(?:\.\d{1,3}){2}|\[::1\]|\[f[cd][0-9a-f:]*\]|\[fe80:[0-9a-f:]*\])(?::\d{1,5})?$/;

export function isPrivateHost(host: string): boolean {
  return privateHosts.test(host);
}

export function publicUrlMissing(): ProxyError {
  return new ProxyError("public_url_missing", {
    log: 'publicUrl must be stated: createKeyway({ publicUrl: "https://app.example/api/fal/proxy", ... })',
  });
}

function refuseOrigin(origin: string): ProxyError {
  return new ProxyError("forbidden_origin", {
    message: `Pages of ${origin.slice(0, 200)} may not call: list it in origins if they should.`,
  });
}

/** CORS answer headers for a listed origin (WHATWG Fetch, section 3.3); empty for every other. */
export function corsHeaders(headers: HeaderList, settings: Settings): HeaderList {
  if (settings.origins.length === 0) return [];
  const origin = valueOf(headers, "origin");
  if (origin === undefined || !settings.origins.includes(origin)) return [];
  return [
    ["access-control-allow-origin", origin],
    ["access-control-allow-credentials", "true"],
    ["access-control-expose-headers", exposed],
  ];
}

/** What a preflight of a listed origin is told beside {@link corsHeaders}. */
export function preflightHeaders(settings: Settings): readonly Header[] {
  const allowed = [
    ...requestHeaderNames,
    "x-fal-target-url",
    "authorization",
    "idempotency-key",
    "x-keyway-client",
    ...settings.forwardHeaders,
  ];
  return [
    ["access-control-allow-methods", callMethods.join(", ")],
    ["access-control-allow-headers", allowed.join(", ")],
    ["access-control-max-age", "600"],
  ];
}

const exposed = answerHeaderNames.join(", ");
