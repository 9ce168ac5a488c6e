import { createKeyway } from "@keyway/sveltekit";
import { publishEvent } from "./events.ts";
import { bearerOf, verifyToken } from "./session.ts";

/** A local emulator to call in place of fal.ai; undefined for fal.ai itself. */
export const emulatorUrl = process.env["KEYWAY_UPSTREAM"] || undefined;

/** Who may call what. The key comes from FAL_KEY and stays here. */
export const keyway = createKeyway({
  authorize: ({ headers, cookie }) => {
    const user = verifyToken(bearerOf(headers.get("authorization")) ?? cookie("session"));
    return user === undefined ? null : { id: user };
  },
  endpoints: {
    // Real time goes through this app; here a page may also get a short-lived token and connect to fal.ai by itself.
    "demo/realtime": { realtime: "token" },
    "fal-ai/**": { realtime: "token" },
    "demo/**": {},
  },
  publicUrl: process.env["PUBLIC_URL"] && `${new URL(process.env["PUBLIC_URL"]).origin}/api/fal/proxy`,
  upstream: emulatorUrl === undefined ? undefined : { url: emulatorUrl, key: "emulator" },
  observe: publishEvent,
});
