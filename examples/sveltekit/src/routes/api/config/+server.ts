import { json } from "@sveltejs/kit";
import { emulatorUrl } from "#lib/server/keyway.ts";
import type { RequestHandler } from "./$types";

export const GET: RequestHandler = ({ locals }) =>
  json({ emulator: emulatorUrl !== undefined, user: locals.user }, { headers: { "cache-control": "no-store" } });
