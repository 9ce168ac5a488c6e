import { type Caller, type LimitSet, createKeyway } from "@keyway/nextjs";
import { publishEvent } from "./events";
import { bearerOf, verifyToken } from "./session";

/** A local emulator to call in place of fal.ai; undefined for fal.ai itself. */
export const emulatorUrl = process.env["KEYWAY_UPSTREAM"] || undefined;

/** Plans of users who do not have what everybody has. A real app reads them from its database. */
const plans = new Map<string, LimitSet>([["bob", { budget: { usd: 0.05, per: "day" } }]]);

/** A user as Keyway knows him: who he is, and what his plan lets him do. */
export function callerOf(user: string): Caller {
  return { id: user, limits: plans.get(user) };
}

/** Said aloud, because a budget wants to know of every endpoint what it costs. */
const free = { perCall: 0 };

/** Who may call what, and for how much. The key comes from FAL_KEY and stays here. */
export const keyway = createKeyway({
  authorize: ({ headers, cookie }) => {
    const user = verifyToken(bearerOf(headers.get("authorization")) ?? cookie("session"));
    return user === undefined ? null : callerOf(user);
  },
  // The first pattern that fits counts, and nothing else may be called. Prices are in US dollars: write what your models cost at fal.ai,
  // or ask for it with loadPrices(). The demo's are free but for one, so that the page can show budgets.
  // Real time goes through this app; "token" also lets a page connect to fal.ai by itself, where limits do not reach.
  endpoints: {
    "demo/realtime": { price: free, realtime: "token" },
    "demo/poster": { price: { perUnit: 0.01 } },
    "demo/**": { price: free },
    // What the page calls with a key of yours.
    "fal-ai/fast-lightning-sdxl": { price: { perUnit: 0.01 } },
    "fal-ai/flux/schnell": { price: { perUnit: 0.003 } },
    "fal-ai/flux/dev": { price: { perUnit: 0.025 } },
    "fal-ai/flux/dev/image-to-image": { price: { perUnit: 0.03 } },
    "fal-ai/fast-lcm-diffusion": { price: { perMinute: 0.05 }, realtime: "token" },
  },
  limits: {
    caller: { budget: { usd: 1, per: "day" } },
    global: { budget: { usd: 20, per: "day" } },
  },
  publicUrl: process.env["PUBLIC_URL"] && `${new URL(process.env["PUBLIC_URL"]).origin}/api/fal/proxy`,
  upstream: emulatorUrl === undefined ? undefined : { url: emulatorUrl, key: "emulator" },
  // Told by fal.ai of every finished job, once, also when its caller has long left. A real app writes it to its database.
  webhooks: {
    onResult: ({ caller, endpoint, requestId, status }) =>
      console.log(`${caller}'s job ${requestId} of ${endpoint} is over: ${status}`),
    allow: process.env["WEBHOOK_ORIGINS"]?.split(","), // where else callers may have results sent
  },
  observe: publishEvent,
});
