import { type Keyway, createKeyway } from "@keyway/nextjs";
import { publishEvent } from "./events";
import { processWide } from "./process-wide";
import { bearerOf, verifyToken } from "./session";

/** A local emulator to call in place of fal.ai; undefined for fal.ai itself. */
export const emulatorUrl = process.env["KEYWAY_UPSTREAM"] || undefined;

/** Who may call what. The key comes from FAL_KEY and stays here. */
const create = (): Keyway =>
  createKeyway({
    authorize: ({ headers, cookie }) => {
      const user = verifyToken(bearerOf(headers.get("authorization")) ?? cookie("session"));
      return user === undefined ? null : { id: user };
    },
    endpoints: ["fal-ai/**", "demo/**"],
    publicUrl: process.env["PUBLIC_URL"] && `${new URL(process.env["PUBLIC_URL"]).origin}/api/fal/proxy`,
    upstream: emulatorUrl === undefined ? undefined : { url: emulatorUrl, key: "emulator" },
    observe: publishEvent,
  });

/** One for the routes and instrumentation.ts, which Next bundles apart, so that limits count once. An edit shows at once in development. */
export const keyway: Keyway = process.env.NODE_ENV === "production" ? processWide("keyway", create) : create();
