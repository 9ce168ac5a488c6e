import { createHmac, timingSafeEqual } from "node:crypto";
import type { Settings } from "./options.ts";

/** Short-lived tokens. Their inside (HS256, these claims) is ours: clients never look. */
export interface Tokens {
  issue(apps: readonly string[], seconds: number): string;
  /** Whether the token opens this endpoint now. */
  check(token: string, endpoint: string, app: string): "ok" | "invalid" | "expired" | "forbidden";
}

interface Claims {
  readonly allowed_apps: readonly string[];
  /** Unix seconds. */
  readonly exp: number;
}

const head = Buffer.from(JSON.stringify({ alg: "HS256", typ: "JWT" })).toString("base64url");

export function createTokens({ seed, now, strict }: Settings): Tokens {
  const sign = (text: string): Buffer => createHmac("sha256", `token\n${seed}`).update(text).digest();
  return {
    issue(apps, seconds) {
      const iat = Math.floor(now() / 1000);
      const claims = JSON.stringify({ allowed_apps: apps, iat, exp: iat + seconds });
      const text = `${head}.${Buffer.from(claims).toString("base64url")}`;
      return `${text}.${sign(text).toString("base64url")}`;
    },
    check(token, endpoint, app) {
      const cut = token.lastIndexOf(".");
      const signature = Buffer.from(token.slice(cut + 1), "base64url");
      const expected = sign(token.slice(0, Math.max(0, cut)));
      if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) return "invalid";
      const claims = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString()) as Claims;
      if (claims.exp * 1000 <= now()) return "expired";
      return claims.allowed_apps.some((name) => opens(name, endpoint, app, strict.tokens)) ? "ok" : "forbidden";
    },
  };
}

/** A token names an app by `owner/alias`, by the endpoint with or without its suffix or, unless strict, by bare alias. */
function opens(name: string, endpoint: string, app: string, strict: boolean): boolean {
  const alias = app.slice(app.lastIndexOf("/") + 1);
  const names = [app, endpoint, endpoint.replace(/\/(realtime|stream)$/, "")];
  return names.includes(name) || (!strict && name === alias);
}
