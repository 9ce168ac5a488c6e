import { createKeyway, type Keyway } from "@keyway/express";
import { publishEvent } from "./events.ts";
import { bearerOf, verifyToken } from "./session.ts";
import { settings } from "./settings.ts";
import { upstream } from "./upstream.ts";

/** Where the proxy is mounted. */
export const mount = "/api/fal/proxy";

/** Who may call what. The key comes from FAL_KEY and stays here. */
export const keyway: Keyway = createKeyway({
  authorize: (request) => {
    const user = verifyToken(bearerOf(request.headers.get("authorization")) ?? request.cookie("session"));
    return user === undefined ? null : { id: user };
  },
  endpoints: {
    // Real time goes through this app; here a page may also get a short-lived token and connect to fal.ai by itself.
    "demo/realtime": { realtime: "token" },
    "fal-ai/**": { realtime: "token" },
    "demo/**": {},
  },
  publicUrl: settings.publicOrigin && settings.publicOrigin + mount,
  upstream: upstream.emulatorUrl === undefined ? undefined : { url: upstream.emulatorUrl, key: "emulator" },
  observe: publishEvent,
});
