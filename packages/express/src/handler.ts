import type { IncomingMessage, ServerResponse } from "node:http";
import { type Keyway, type KeywayOptions } from "@keyway/core";
import { type HandleContext, type NodeProxy, createNodeProxy } from "@keyway/node";

/** What Express adds to a request, as far as the proxy looks at it. Fits Express 4 and 5. */
interface ExpressRequest extends IncomingMessage {
  baseUrl?: string;
  body?: unknown;
  rawBody?: unknown;
}

/** A request handler for `app.use`, with the doors for WebSockets and shutting down. */
export interface ExpressProxy {
  (req: IncomingMessage, res: ServerResponse, next?: unknown): Promise<void>;
  /** `app.post("/api/fal/webhook", proxy.webhook)`, before body parsers: answers fal's deliveries (option `webhooks`). */
  readonly webhook: (req: IncomingMessage, res: ServerResponse, next?: unknown) => Promise<void>;
  /** `server.on("upgrade", proxy.upgrade)` */
  readonly upgrade: NodeProxy["upgrade"];
  /** In place of the line above, ahead of every other listener: see {@link NodeProxy}. */
  readonly attach: NodeProxy["attach"];
  /** Drains: see {@link NodeProxy}. */
  readonly close: NodeProxy["close"];
}

/**
 * The proxy as Express middleware, for Express 4 and 5. Best mounted before body parsers.
 *
 * @example
 * const proxy = createHandler({ authorize, endpoints: ["fal-ai/**"] });
 * app.use("/api/fal/proxy", proxy);
 * server.on("upgrade", proxy.upgrade);
 */
export function createHandler(input: Keyway | KeywayOptions): ExpressProxy {
  const proxy = createNodeProxy(input);
  const handler = (req: ExpressRequest, res: ServerResponse): Promise<void> =>
    proxy.handle(req, res, { mount: req.baseUrl, native: req, body: bodyOf(req, lost.proxy) });
  const webhook = (req: ExpressRequest, res: ServerResponse): Promise<void> =>
    proxy.webhook(req, res, { native: req, body: bodyOf(req, lost.webhook) });
  return Object.assign(handler, { webhook, upgrade: proxy.upgrade, attach: proxy.attach, close: proxy.close });
}

/** The raw bytes, where a body parser has eaten the stream and the app kept them; a parsed value is never written again. */
function bodyOf(req: ExpressRequest, lostBy: string): HandleContext["body"] {
  if (!req.readableEnded) return undefined;
  if (req.rawBody instanceof Uint8Array) return req.rawBody;
  if (req.body instanceof Uint8Array) return req.body;
  if (
    req.headers["content-length"] === "0" ||
    (req.headers["content-length"] === undefined && req.headers["transfer-encoding"] === undefined)
  ) {
    return new Uint8Array(0);
  }
  return { lost: lostBy };
}

const lost = {
  proxy:
    'a body parser ran before the proxy. Mount the proxy first: app.use("/api/fal/proxy", proxy); app.use(express.json())',
  webhook:
    'a body parser ran before the webhook, and only the bytes as they came can be verified. Write it first: app.post("/api/fal/webhook", proxy.webhook); app.use(express.json())',
};
