import { ProxyError } from "../errors.ts";

/** fal's hosts that calls may go to; each call is rendered for exactly one of them. */
const upstreamHosts = ["fal.run", "queue.fal.run", "rest.fal.ai", "rest.alpha.fal.ai"] as const;
export type UpstreamHost = (typeof upstreamHosts)[number];

/** Known to fal's clients, not spoken here: HTTP over WebSocket and WebRTC signalling. */
const unsupportedHosts: readonly string[] = ["ws.fal.run", "wma.fal.run"];

/** A target that passed the grammar. Rendering it gives back the very string that was accepted. */
export interface Target {
  readonly host: UpstreamHost;
  /** Decoded path segments. */
  readonly segments: readonly string[];
  readonly trailingSlash: boolean;
  /** Raw query without `?`, or null. */
  readonly query: string | null;
}

const maxTargetLength = 8192;
const authority = /^https:\/\/([a-z0-9.-]+)(?=[/?]|$)/;
const querySyntax = /^(?:[A-Za-z0-9._~!$&()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*$/;
const forbiddenInSegment = /[./\\%;?#\u0000-\u001f\u007f]/;
const visibleAscii = /^[!-~]+$/;
const unreserved = /^[A-Za-z0-9._~-]+$/;
const dotsOnly = /^\.+$/;

/** Parses a full target URL (the value of x-fal-target-url) by one strict grammar. Nothing is normalised: odd spellings are refused. */
export function parseTarget(raw: string): Target {
  if (raw.length > maxTargetLength) throw refuse("it is longer than 8,192 characters");
  const match = authority.exec(raw);
  if (match === null) throw refuse("write https://<fal host>/<path>, lower-case, without port or user");
  return parseTargetParts(match[1] ?? "", raw.slice(match[0].length));
}

/** Parses host and the rest (`/path?query`) separately, as the path form gives them. */
export function parseTargetParts(host: string, rest: string): Target {
  if (rest.length > maxTargetLength) throw refuse("it is longer than 8,192 characters");
  const mark = rest.indexOf("?");
  const path = mark < 0 ? rest : rest.slice(0, mark);
  const query = mark < 0 ? null : rest.slice(mark + 1);
  const known = upstreamHosts.find((name) => name === host);
  if (known === undefined) throw refuseHost(host);
  if (query !== null && !querySyntax.test(query)) throw refuse("its query is not percent-encoded");
  const trailingSlash = path.length > 1 && path.endsWith("/");
  const segments =
    path === "" || path === "/"
      ? []
      : path
          .slice(1, trailingSlash ? -1 : undefined)
          .split("/")
          .map(parseSegment);
  return { host: known, segments, trailingSlash, query };
}

/** True for a host that the path form may start with; unsupported ones count, so that they are refused by name. */
export function isFalHost(name: string): boolean {
  return upstreamHosts.some((host) => host === name) || unsupportedHosts.includes(name);
}

/** Renders decoded segments and a raw query as a request path. */
export function renderPath(segments: readonly string[], trailingSlash: boolean, query: string | null): string {
  const path = `/${segments.map(encodeSegment).join("/")}${trailingSlash ? "/" : ""}`;
  return query === null ? path : `${path}?${query}`;
}

/** RFC 3986 pchar without `;`; everything else percent-encoded as UTF-8 in upper case. */
function encodeSegment(segment: string): string {
  if (unreserved.test(segment)) return segment;
  return encodeURIComponent(segment).replace(/%(?:24|26|2B|2C|3A|3D|40)/g, decodeURIComponent);
}

function parseSegment(raw: string): string {
  if (raw === "") throw refuse("its path has an empty segment");
  if (!visibleAscii.test(raw)) throw refuse("its path has a character that must not stand there");
  if (!raw.includes("%")) {
    if (dotsOnly.test(raw)) throw refuse("its path has a dot segment");
    if (encodeSegment(raw) !== raw) throw refuse("its path has a character that must not stand there");
    return raw;
  }
  const decoded = decodeSegment(raw);
  if (encodedForbidden(raw)) throw refuse("its path has an encoded slash, dot, percent or control character");
  if (encodeSegment(decoded) !== raw) throw refuse("its path is not in its normal spelling");
  return decoded;
}

/** True when a percent-encoding in the raw segment stands for a character that changes how a path is read. */
function encodedForbidden(raw: string): boolean {
  for (const match of raw.matchAll(/%([0-9A-Fa-f]{2})/g)) {
    if (forbiddenInSegment.test(String.fromCharCode(Number.parseInt(match[1] ?? "", 16)))) return true;
  }
  return false;
}

function decodeSegment(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw refuse("its path is not valid UTF-8");
  }
}

function refuseHost(host: string): ProxyError {
  if (unsupportedHosts.includes(host))
    return new ProxyError("unsupported_call", { message: `Calls to ${host} are not supported.` });
  return refuse("its host is not one of fal.ai's inference hosts");
}

function refuse(why: string): ProxyError {
  return new ProxyError("target_refused", { message: `The target was refused: ${why}.` });
}
