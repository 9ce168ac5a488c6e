import type { IncomingMessage, ServerResponse } from "node:http";
import type { Keyway, KeywayOptions } from "@keyway/core";
import { createNodeProxy } from "@keyway/node";

/** An API route of the Pages Router. */
export type PageRouterHandler = (req: IncomingMessage & { body?: unknown }, res: ServerResponse) => Promise<void>;

/**
 * The proxy as an API route of the Pages Router, for `pages/api/fal/proxy/[[...path]].ts`. Next must leave the body alone, which only
 * a line in that file can say.
 *
 * @example
 * export default createPageRouterHandler(keyway);
 * export const config = { api: { bodyParser: false, externalResolver: true } };
 */
export function createPageRouterHandler(input: Keyway | KeywayOptions): PageRouterHandler {
  const proxy = createNodeProxy(input);
  return (req, res) =>
    proxy.handle(req, res, { native: req, base: baseOf(req), body: wasRead(req) ? { lost } : undefined });
}

/** Next takes its option basePath off the URL, and keeps the whole one beside the request. */
function baseOf(req: IncomingMessage & { [meta]?: { readonly initURL?: string } }): string {
  const whole = req[meta]?.initURL;
  const [path = "/"] = (req.url ?? "/").split("?");
  if (whole === undefined || !URL.canParse(whole)) return "";
  const { pathname } = new URL(whole);
  return pathname.endsWith(path) ? pathname.slice(0, -path.length) : "";
}

const meta: unique symbol = Symbol.for("NextInternalRequestMeta");

const lost =
  "Next's body parser ran before the proxy. Write in the same file: export const config = { api: { bodyParser: false } }";

function wasRead({ readableEnded, headers }: IncomingMessage): boolean {
  return readableEnded && (headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0);
}
