import { streamEvents } from "#lib/server/events.ts";
import { keyway } from "#lib/server/keyway.ts";
import { refuseStranger } from "#lib/server/session.ts";
import type { RequestHandler } from "./$types";

/** What the proxy did for the signed-in user, as server-sent events. */
export const GET: RequestHandler = async ({ locals: { user }, request }) => {
  if (user === undefined) return refuseStranger();
  const stream = streamEvents(await keyway.callerHash(user), request.headers.get("last-event-id"));
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    },
  });
};
