import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { processWide } from "./process-wide";

/** Signs the sessions of this process; a restart signs everybody out. */
const secret = processWide("session secret", () => randomBytes(32));
const names = /^[a-z0-9-]{1,32}$/;

export const sessionCookie = {
  httpOnly: true,
  sameSite: "lax",
  secure: process.env["PUBLIC_URL"]?.startsWith("https:") ?? false,
  path: "/",
} as const;

export function isUserName(name: unknown): name is string {
  return typeof name === "string" && names.test(name);
}

/** `<user>.<signature>`: in a cookie for browsers, in the Authorization header for everyone else. */
export function createToken(user: string): string {
  return `${user}.${createHmac("sha256", secret).update(user).digest("base64url")}`;
}

/** The user whom the token was made for, or undefined for a forged one. */
export function verifyToken(token: string | undefined): string | undefined {
  const user = token?.split(".")[0];
  if (token === undefined || !isUserName(user)) return undefined;
  const [given, right] = [Buffer.from(token), Buffer.from(createToken(user))];
  return given.length === right.length && timingSafeEqual(given, right) ? user : undefined;
}

/** The token of an `Authorization: Bearer …` or `Key …`. */
export function bearerOf(authorization: string | null): string | undefined {
  return /^(?:bearer|key) +(\S+)$/i.exec(authorization ?? "")?.[1];
}

/** Who sent this request. */
export function userOf({ headers }: Request): string | undefined {
  const cookie = /(?:^|;\s*)session=([^;]*)/.exec(headers.get("cookie") ?? "")?.[1];
  return verifyToken(bearerOf(headers.get("authorization")) ?? cookie);
}

export function refuseStranger(): Response {
  return Response.json({ message: "Nobody is signed in.", code: "unauthorized" }, { status: 401 });
}
