import { streamEvents } from "@/lib/events";
import { keyway } from "@/lib/keyway";
import { refuseStranger, userOf } from "@/lib/session";

/** What the proxy did for the signed-in user, as server-sent events. */
export async function GET(request: Request): Promise<Response> {
  const user = userOf(request);
  if (user === undefined) return refuseStranger();
  const stream = streamEvents(await keyway.callerHash(user), request.headers.get("last-event-id"), request.signal);
  return new Response(stream, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    },
  });
}
