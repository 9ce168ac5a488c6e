import { type Call, appLength } from "../call.ts";
import { ProxyError } from "../errors.ts";
import { parseJson, writeJson } from "../json.ts";
import { type Endpoint, coversApp, matchSegments } from "./endpoint.ts";

const maxExpiration = 300;

/**
 * Checks a request for a short-lived fal token, which is a right to spend at `allowed_apps` without any of the proxy's rules, and
 * writes it anew. fal-js and fal_client name only the alias (`flux` for `fal-ai/flux/dev`), so an alias must be safe for every
 * endpoint that it could mean.
 */
export function checkToken(
  call: Call,
  body: Uint8Array,
  endpoints: readonly Endpoint[],
  standard: "proxied" | "token",
): Uint8Array {
  const { value } = parseJson(body);
  const fields: Record<string, unknown> = typeof value === "object" && value !== null ? { ...value } : {};
  const apps = fields["allowed_apps"];
  if (!Array.isArray(apps) || apps.length === 0 || apps.length > 10)
    throw refuse("allowed_apps must list one to ten apps");
  const lifetime = call.target.segments.includes("realtime") ? "duration" : "token_expiration";
  const seconds = fields[lifetime] ?? 120;
  if (typeof seconds !== "number" || !Number.isInteger(seconds) || seconds < 1 || seconds > maxExpiration) {
    throw refuse(`${lifetime} must be between 1 and ${maxExpiration} seconds`);
  }
  for (const app of apps) {
    if (typeof app !== "string" || !appSyntax.test(app)) throw refuse("allowed_apps must list app names");
    if (!isOpen(app.split("/"), endpoints, standard)) throw refuseApp(app);
  }
  return writeJson({ allowed_apps: apps, [lifetime]: seconds }, new Map());
}

const appSyntax = /^[A-Za-z0-9_~-][A-Za-z0-9._~-]*(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$/;

function isOpen(app: readonly string[], endpoints: readonly Endpoint[], standard: "proxied" | "token"): boolean {
  if (app.length > 1) {
    const found = endpoints.find(
      ({ segments }) => matchSegments(segments, app) || matchSegments(segments, withoutPath(app)),
    );
    return found !== undefined && givesTokens(found, standard) && !goesAround(app, found, endpoints);
  }
  const [alias = ""] = app;
  const covering = endpoints.filter(({ segments }) => coversAlias(segments, alias));
  const named = covering.filter(({ segments }) => aliasOf(segments) === alias);
  const owners = new Set(named.map(({ segments }) => segments[0]));
  // Who names an alias decides for his own owner only: another owner's app of that name may have a rule to keep.
  const deciding = named.length === 0 ? covering : covering.filter((one) => named.includes(one) || isKept(one, owners));
  return deciding.length > 0 && deciding.every((endpoint) => givesForApp(endpoint, endpoints, standard));
}

/** For all that lies below an app a token is given where the list names the app, and not only a path below it, unless it is stated. */
function givesForApp(endpoint: Endpoint, endpoints: readonly Endpoint[], standard: "proxied" | "token"): boolean {
  const { segments } = endpoint;
  const isNamed = endpoint.realtime === "token" || standard === "token" || segments.length === appLength(segments);
  return isNamed && givesTokens(endpoint, standard) && !goesAround(segments, endpoint, endpoints);
}

/**
 * What a token for a path is good for beside it is not documented. So none is given for an app of which some other endpoint has a rule to
 * keep, unless it is stated for this very app.
 */
function goesAround(app: readonly string[], found: Endpoint, endpoints: readonly Endpoint[]): boolean {
  const names = app.slice(0, appLength(app));
  if (found.realtime === "token" && names.every((name, index) => found.segments[index] === name)) return false;
  const name = names.join("/");
  return endpoints.some((one) => isClosed(one) && one.realtime !== "token" && coversApp(one, name));
}

/** A rule for other owners too, which a token for the alias alone would go around. */
function isKept(endpoint: Endpoint, owners: ReadonlySet<string | undefined>): boolean {
  return !owners.has(endpoint.segments[0]) && (isClosed(endpoint) || endpoint.realtime !== undefined);
}

/** What a direct connection would go around: a rule, a price, limits of the endpoint's own. */
function isClosed({ ruled, limits }: Endpoint): boolean {
  return ruled || limits !== undefined;
}

/** A token only where stated, or for an app named exactly in the list with nothing that a direct connection would go around. */
function givesTokens(endpoint: Endpoint, standard: "proxied" | "token"): boolean {
  if (endpoint.realtime !== undefined) return endpoint.realtime === "token";
  if (isClosed(endpoint)) return false;
  return standard === "token" || !endpoint.segments.some((segment) => segment.startsWith("*"));
}

/** The client asks for `owner/alias/realtime`; the list may name the endpoint alone. */
function withoutPath(app: readonly string[]): readonly string[] {
  const last = app.at(-1);
  return app.length > 2 && (last === "realtime" || last === "stream") ? app.slice(0, -1) : app;
}

function aliasOf(segments: readonly string[]): string | undefined {
  return segments[appLength(segments) - 1];
}

function coversAlias(segments: readonly string[], alias: string): boolean {
  const own = aliasOf(segments);
  return own === alias || own === "*" || own === "**" || segments.slice(0, 2).includes("**");
}

function refuseApp(app: string): ProxyError {
  const pattern = app.includes("/") ? withoutPath(app.split("/")).join("/") : `<owner>/${app}`;
  return new ProxyError("token_refused", {
    message: `Tokens for "${app}" are not given out by this app.`,
    log: `a token for "${app}" was refused, so the client's direct connection will not open. To allow it write endpoints: { "${pattern}": { realtime: "token" } }, or connect through the proxy`,
  });
}

function refuse(why: string): ProxyError {
  return new ProxyError("token_refused", { message: `The token request was refused: ${why}.`, status: 400 });
}
