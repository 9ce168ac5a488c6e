import { callerOf, keyway } from "@/lib/keyway";
import { refuseStranger, userOf } from "@/lib/session";

/** What the signed-in user has spent and may still spend. */
export async function GET(request: Request): Promise<Response> {
  const user = userOf(request);
  if (user === undefined) return refuseStranger();
  return Response.json(await keyway.usage(callerOf(user)), { headers: { "cache-control": "no-store" } });
}
