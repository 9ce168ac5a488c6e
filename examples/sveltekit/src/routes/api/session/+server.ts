import { json } from "@sveltejs/kit";
import { createToken, isUserName, refuseStranger, sessionCookie } from "#lib/server/session.ts";
import type { RequestHandler } from "./$types";

/** Sign in. A real app checks a password here. */
export const POST: RequestHandler = async ({ cookies, request }) => {
  // A form of another site's page could send a text that reads as JSON, and sign its reader in as somebody else.
  const isJson = request.headers.get("content-type")?.startsWith("application/json") === true;
  const body: unknown = isJson ? await request.json().catch(() => undefined) : undefined;
  const user = typeof body === "object" && body !== null && "user" in body ? body.user : undefined;
  if (!isUserName(user)) {
    const message = 'Send JSON such as { "user": "ada" }: 1 to 32 of a-z, 0-9 and -.';
    return json({ message, code: "invalid_user" }, { status: 400 });
  }
  const token = createToken(user);
  cookies.set("session", token, sessionCookie);
  return json({ user, token });
};

/** Who am I. */
export const GET: RequestHandler = ({ locals: { user } }) => (user === undefined ? refuseStranger() : json({ user }));

/** Sign out. */
export const DELETE: RequestHandler = ({ cookies }) => {
  cookies.delete("session", sessionCookie);
  return new Response(null, { status: 204 });
};
