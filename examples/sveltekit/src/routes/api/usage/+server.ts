import { json } from "@sveltejs/kit";
import { callerOf, keyway } from "#lib/server/keyway.ts";
import { refuseStranger } from "#lib/server/session.ts";
import type { RequestHandler } from "./$types";

/** What the signed-in user has spent and may still spend. */
export const GET: RequestHandler = async ({ locals: { user } }) => {
  if (user === undefined) return refuseStranger();
  return json(await keyway.usage(callerOf(user)), { headers: { "cache-control": "no-store" } });
};
