import type { Handle } from "@sveltejs/kit/hooks";
import { attachToServers } from "@keyway/sveltekit";
import { keyway } from "#lib/server/keyway.ts";
import { bearerOf, verifyToken } from "#lib/server/session.ts";

// Request handlers get no upgrades: WebSockets are taken from the server itself.
attachToServers(keyway);

export const handle: Handle = async ({ event, resolve }) => {
  const { cookies, locals, request } = event;
  locals.user = verifyToken(bearerOf(request.headers.get("authorization")) ?? cookies.get("session"));
  const response = await resolve(event);
  response.headers.set("x-content-type-options", "nosniff");
  response.headers.set("referrer-policy", "same-origin");
  response.headers.set("x-frame-options", "DENY");
  return response;
};
