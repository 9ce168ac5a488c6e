import { type KeywayOptions, resolveOptions } from "./options.ts";
import { plan } from "./plan.ts";
import { accountsOf } from "./rules/limits.ts";
import type { Answer, Door, Exchange } from "./seam.ts";
import type { Timeouts } from "./options.ts";
import { type FetchContext, answerRequest } from "./web.ts";
import type { Log } from "./observe.ts";

/** Money of one caller in the current period, in US dollars. */
export interface Usage {
  readonly spent: number;
  /** Set aside for calls that are not over. */
  readonly reserved: number;
  /** What may still be spent; undefined without a budget. */
  readonly left: number | undefined;
}

/** One configured proxy. Frameworks' doors are made from it; it holds no key that could be printed. */
export interface Keyway {
  /** Answers a web-standard Request: for every host that speaks Request and Response. */
  readonly fetch: (request: Request, context?: FetchContext) => Promise<Response>;
  /** What the caller with this id (as `authorize` gives it) has spent and may still spend. */
  readonly usage: (callerId: string) => Promise<Usage>;
  /** The name under which `observe` events and stores know a caller. */
  readonly callerHash: (callerId: string) => Promise<string>;
  /** For transports: decides about one request. Never rejects. */
  readonly plan: (door: Door) => Promise<Answer | Exchange>;
  /** For transports: what they need of the settings. */
  readonly transport: {
    readonly publicPath: string | undefined;
    readonly production: boolean;
    readonly timeouts: Timeouts;
    readonly log: Log;
  };
  /** Closes the store. */
  readonly close: () => Promise<void>;
}

/**
 * Makes a proxy from options; throws one `invalid_option` error that shows the corrected line.
 *
 * @example
 * export const keyway = createKeyway({
 *   authorize: async ({ cookie }) => await userOfSession(cookie("session")),
 *   endpoints: ["fal-ai/flux/**"],
 *   publicUrl: "https://app.example/api/fal/proxy",
 * });
 */
export function createKeyway(options: KeywayOptions): Keyway {
  const settings = resolveOptions(options);
  const { production, timeouts, log, publicUrl } = settings;
  return {
    fetch: (request, context = {}) => answerRequest(request, context, settings),
    plan: (door) => plan(door, settings),
    transport: Object.freeze({ publicPath: publicUrl?.path, production, timeouts, log }),
    callerHash: async (callerId) => settings.hashes.of(callerId),
    async usage(callerId) {
      const { caller } = await accountsOf(await settings.hashes.of(callerId), settings);
      const { spent, reserved } = await settings.askStore((store) => store.balance(caller.key));
      const left = caller.limit === undefined ? undefined : Math.max(0, caller.limit - spent - reserved) / 1e6;
      return { spent: spent / 1e6, reserved: reserved / 1e6, left };
    },
    close: () => settings.store.close(),
  };
}

/** Takes an instance as it is, and makes one from options. */
export function toKeyway(input: Keyway | KeywayOptions): Keyway {
  return "plan" in input && typeof input.plan === "function" ? input : createKeyway(input as KeywayOptions);
}
