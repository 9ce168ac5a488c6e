import type { Call } from "../call.ts";
import { ProxyError } from "../errors.ts";
import { allowWebhook } from "../webhooks/submit.ts";

/**
 * The query to send upstream. `run`, `stream` and `realtime` keep theirs byte for byte; every other call takes only the
 * parameters that fal documents for it. Names starting `fal_` steer the platform, so no caller may set them; `fal_webhook` only with a
 * URL of these origins.
 */
export function checkQuery(call: Call, hasRule: boolean, hookOrigins: readonly string[] = []): string | null {
  const { query, kind } = call;
  if (query === null || query === "") return query;
  const names = parameterNames(query);
  switch (kind) {
    case "run":
    case "stream":
      if (names.some(isReserved)) throw refuseReserved(names);
      if (hasRule) throw refuse("an endpoint with an input rule or a price takes no query");
      return query;
    case "realtime":
      return checkRealtime(query, names, hasRule);
    case "submit":
      if (!names.includes("fal_webhook")) return allowOnly(call, query, names, ["fal_max_queue_length"]);
      if (hookOrigins.length === 0) throw new ProxyError("webhook_refused");
      return allowWebhook(allowOnly(call, query, names, ["fal_max_queue_length", "fal_webhook"]), hookOrigins);
    case "status":
    case "status-stream":
      return allowOnly(call, query, names, ["logs"]);
    case "upload":
      if (query !== "storage_type=fal-cdn-v3") throw refuse("an upload takes storage_type=fal-cdn-v3");
      return query;
    case "result":
    case "cancel":
    case "token":
      return allowOnly(call, query, names, []);
  }
}

function checkRealtime(query: string, names: string[], hasRule: boolean): string | null {
  const kept = query.split("&").filter((pair) => !parameterNames(pair).includes("fal_jwt_token"));
  const others = names.filter((name) => name !== "fal_jwt_token");
  if (others.some(isReserved)) throw refuseReserved(others);
  if (hasRule && others.some((name) => name !== "max_buffering"))
    throw refuse("an endpoint with a price takes only max_buffering");
  return kept.length === 0 ? null : kept.join("&");
}

function allowOnly(call: Call, query: string, names: string[], allowed: string[]): string {
  if (names.some(isReserved) && !names.every((name) => allowed.includes(name))) throw refuseReserved(names);
  if (!names.every((name) => allowed.includes(name))) {
    throw refuse(
      allowed.length === 0 ? `a ${call.kind} call takes none` : `a ${call.kind} call takes only ${allowed.join(", ")}`,
    );
  }
  if (new Set(names).size !== names.length) throw refuse("a parameter is repeated");
  return query;
}

/** Decoded names, trimmed of white space and control characters; `;` counts as a separator, as some servers read it. */
function parameterNames(query: string): string[] {
  const names = [...new URLSearchParams(query.replaceAll(";", "&")).keys()];
  return names.map((name) => trim(name).toLowerCase());
}

/** In loops, as a regular expression looks at each row of spaces again and again. */
function trim(name: string): string {
  const signs = Array.from(name);
  let [from, to] = [0, signs.length];
  while (from < to && blank.test(signs[from] ?? "")) from += 1;
  while (to > from && blank.test(signs[to - 1] ?? "")) to -= 1;
  return signs.slice(from, to).join("");
}

const blank = /^[\s\p{C}]$/u;

function isReserved(name: string): boolean {
  return name.startsWith("fal_");
}

function refuseReserved(names: string[]): ProxyError {
  if (names.includes("fal_webhook")) return new ProxyError("webhook_refused");
  return refuse("a parameter starting with fal_ steers the platform");
}

function refuse(why: string): ProxyError {
  return new ProxyError("query_refused", { message: `The query was refused: ${why}.` });
}
