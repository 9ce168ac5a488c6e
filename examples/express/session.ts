import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import express, { type Request, type Response, type Router } from "express";
import { settings } from "./settings.ts";

/** Signs the sessions of this process; a restart signs everybody out. */
const secret = randomBytes(32);
const names = /^[a-z0-9-]{1,32}$/;
const cookie = {
  httpOnly: true,
  sameSite: "lax",
  secure: settings.publicOrigin?.startsWith("https:") ?? false,
  path: "/",
} as const;

/** `<user>.<signature>`: in a cookie for browsers, in the Authorization header for everyone else. */
function createToken(user: string): string {
  return `${user}.${createHmac("sha256", secret).update(user).digest("base64url")}`;
}

/** The user whom the token was made for, or undefined for a forged one. */
export function verifyToken(token: string | undefined): string | undefined {
  const user = token?.split(".")[0] ?? "";
  if (token === undefined || !names.test(user)) return undefined;
  const [given, right] = [Buffer.from(token), Buffer.from(createToken(user))];
  return given.length === right.length && timingSafeEqual(given, right) ? user : undefined;
}

/** The token of an `Authorization: Bearer …` or `Key …`. */
export function bearerOf(authorization: string | null | undefined): string | undefined {
  return /^(?:bearer|key) +(\S+)$/i.exec(authorization ?? "")?.[1];
}

/** Who sent this request. */
export function userOf(req: Request): string | undefined {
  const sessionCookie = /(?:^|;\s*)session=([^;]*)/.exec(req.headers.cookie ?? "")?.[1];
  return verifyToken(bearerOf(req.headers.authorization) ?? sessionCookie);
}

export function refuseStranger(res: Response): void {
  res.status(401).json({ message: "Nobody is signed in.", code: "unauthorized" });
}

/** Sign in (POST), who am I (GET), sign out (DELETE). A real app checks a password here. */
export const session: Router = express.Router();

session.post("/", express.json({ limit: "1kb" }), (req, res) => {
  const user: unknown = req.body?.user;
  if (typeof user !== "string" || !names.test(user)) {
    res
      .status(400)
      .json({ message: 'Send JSON such as { "user": "ada" }: 1 to 32 of a-z, 0-9 and -.', code: "invalid_user" });
    return;
  }
  const token = createToken(user);
  res.cookie("session", token, cookie).json({ user, token });
});

session.get("/", (req, res) => {
  const user = userOf(req);
  if (user === undefined) refuseStranger(res);
  else res.json({ user });
});

session.delete("/", (_req, res) => {
  res.clearCookie("session", cookie).status(204).end();
});
