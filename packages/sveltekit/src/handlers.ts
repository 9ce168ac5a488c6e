import { type Keyway, type KeywayOptions, type Sender, toKeyway } from "@keyway/core";

/** What the proxy looks at in a request event. Fits SvelteKit 2 and 3. */
export interface KitEvent {
  readonly request: Request;
  readonly platform?: unknown;
  getClientAddress(): string;
}

/** A request handler of a `+server.ts`. */
export type RequestHandler = (event: KitEvent) => Promise<Response>;

/** What a `+server.ts` exports. */
export type RequestHandlers = Readonly<
  Record<"GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD" | "OPTIONS", RequestHandler>
>;

/** One handler for all methods: which of them a call takes is the proxy's decision. */
export function createHandlers(input: Keyway | KeywayOptions, sender: Sender | undefined): RequestHandlers {
  const keyway = toKeyway(input);
  const handle: RequestHandler = (event) =>
    keyway.fetch(event.request, {
      native: event,
      address: addressOf(event),
      sender,
      hostLimit,
      waitUntil: findWaitUntil(event.platform),
    });
  return { GET: handle, POST: handle, PUT: handle, PATCH: handle, DELETE: handle, HEAD: handle, OPTIONS: handle };
}

const hostLimit = "adapter-node reads BODY_SIZE_LIMIT, 512K unless it is set";

/**
 * fal's webhook deliveries (option `webhooks`), for `src/routes/api/fal/webhook/+server.ts`.
 *
 * @example export const { POST } = createWebhookHandler(keyway);
 */
export function createWebhookHandler(input: Keyway | KeywayOptions): { readonly POST: RequestHandler } {
  const keyway = toKeyway(input);
  return {
    POST: ({ request, platform }) => keyway.webhook(request, { hostLimit, waitUntil: findWaitUntil(platform) }),
  };
}

/** Kit throws where it cannot tell, as in prerendering or when the header that ADDRESS_HEADER names is missing. */
function addressOf(event: KitEvent): string | undefined {
  try {
    return event.getClientAddress();
  } catch {
    return undefined;
  }
}

/** How Cloudflare's adapter (`ctx`) and Netlify's (`context`) stay alive after an answer. */
interface Platform {
  readonly ctx?: { waitUntil?(work: Promise<unknown>): void };
  readonly context?: { waitUntil?(work: Promise<unknown>): void };
}

function findWaitUntil(platform: unknown): ((work: Promise<unknown>) => void) | undefined {
  const { ctx, context }: Platform = typeof platform === "object" && platform !== null ? platform : {};
  const host = ctx ?? context;
  return host?.waitUntil === undefined ? undefined : (work) => host.waitUntil?.(work);
}
