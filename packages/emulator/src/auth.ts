import { refusal, type WholeAnswer } from "./answer.ts";
import type { CallKind } from "./call.ts";
import type { Exchange } from "./exchange.ts";

/** Calls that a browser may make by itself with a token (fal-js 1.10.1, `connectionMode: "client"` and realtime). */
const tokenKinds: readonly CallKind[] = ["run", "stream", "status-stream", "realtime"];

/** Routes without a key: files carry their own proof, webhook keys are public. */
const openKinds: readonly CallKind[] = ["cdn", "jwks"];

/** The refusal of a caller without a valid key or token, or undefined. Texts as observed on the live platform. */
export function refuseCaller(exchange: Omit<Exchange, "body">): WholeAnswer | undefined {
  const { call, headers, platform } = exchange;
  if (openKinds.includes(call.kind)) return undefined;
  const lines = headers.filter(([name]) => name.toLowerCase() === "authorization");
  if (lines.length > 1) return refusal(401, "More than one Authorization header");
  const authorization = lines[0]?.[1];
  if (authorization !== undefined) return refuseKey(call.kind, authorization, platform.settings.key);
  const token = call.query.get("fal_jwt_token");
  if (token !== null && tokenKinds.includes(call.kind)) {
    return refuseToken(platform.tokens.check(token, call.endpoint, call.app));
  }
  return refusal(401, call.app === "" ? "Authentication is required" : noAccess(call.endpoint));
}

function noAccess(endpoint: string): string {
  return `Cannot access application "${endpoint}". Authentication is required to access this application.`;
}

function refuseKey(kind: CallKind, authorization: string, key: string | undefined): WholeAnswer | undefined {
  const given = /^Key +(\S+)$/i.exec(authorization)?.[1];
  if (given !== undefined && (key === undefined || given === key)) return undefined;
  const ofJob = kind === "status" || kind === "status-stream" || kind === "result" || kind === "cancel";
  return refusal(401, ofJob ? "invalid key credentials" : "No user found for Key ID and Secret");
}

function refuseToken(found: "ok" | "invalid" | "expired" | "forbidden"): WholeAnswer | undefined {
  switch (found) {
    case "ok":
      return undefined;
    case "invalid":
      return refusal(401, "Invalid token");
    case "expired":
      return refusal(401, "Token has expired");
    case "forbidden":
      return refusal(403, "Forbidden");
  }
}
