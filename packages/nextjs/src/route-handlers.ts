import { type Keyway, type KeywayOptions, type Sender, toKeyway } from "@keyway/core";

/** A route handler of the app router. Fits Next 14, 15 and 16. */
export type RouteHandler = (request: Request, context?: unknown) => Promise<Response>;

/** What a `route.ts` exports. */
export type RouteHandlers = Readonly<
  Record<"GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS", RouteHandler>
>;

/** One handler for all methods: which of them a call takes is the proxy's decision. */
export function createHandlers(input: Keyway | KeywayOptions, sender: Sender | undefined): RouteHandlers {
  const keyway = toKeyway(input);
  const handle: RouteHandler = (request) =>
    keyway.fetch(request, { native: request, base, sender, hostLimit, waitUntil: findWaitUntil() });
  return { GET: handle, POST: handle, PUT: handle, PATCH: handle, DELETE: handle, HEAD: handle, OPTIONS: handle };
}

/**
 * fal's webhook deliveries (option `webhooks`), for `app/api/fal/webhook/route.ts`.
 *
 * @example export const { POST } = createWebhookRoute(keyway);
 */
export function createWebhookRoute(input: Keyway | KeywayOptions): { readonly POST: RouteHandler } {
  const keyway = toKeyway(input);
  return { POST: (request) => keyway.webhook(request, { hostLimit, waitUntil: findWaitUntil() }) };
}

/** Next takes its option basePath off the URL and tells nobody; bundling puts it in the place of this variable. */
const base = typeof process === "undefined" ? undefined : process.env.__NEXT_ROUTER_BASEPATH;

/** Next passes on the first 10 MB of a body when proxy.ts (middleware.ts) has seen the request, and says nothing. */
const hostLimit =
  "Next's proxy.ts cuts bodies off: leave this route out of its matcher, or raise proxyClientMaxBodySize";

/** Where the platform says how to stay alive after an answer (Next's documentation of `after`, "Supporting after for serverless platforms"). */
interface RequestContext {
  get(): { readonly waitUntil?: (work: Promise<unknown>) => void } | undefined;
}

function findWaitUntil(): ((work: Promise<unknown>) => void) | undefined {
  const scope = globalThis as { [requestContext]?: RequestContext };
  return scope[requestContext]?.get()?.waitUntil;
}

const requestContext: unique symbol = Symbol.for("@next/request-context");
