import { emulatorUrl } from "@/lib/keyway";
import { userOf } from "@/lib/session";

export async function GET(request: Request): Promise<Response> {
  const config = { emulator: emulatorUrl !== undefined, user: userOf(request) };
  return Response.json(config, { headers: { "cache-control": "no-store" } });
}
