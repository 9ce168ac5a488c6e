import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Listener, createStagedHost } from "./staged-host.ts";
import type { KeywayOptions } from "@keyway/core";
import type { Mounted } from "./mount.ts";

/** The fixture app as adapter-node built it, behind a reverse proxy that says x-forwarded-proto. Without a limit it has Kit's own. */
export function createKitHost(bodySizeLimit?: string): (options: KeywayOptions) => Promise<Mounted> {
  return createStagedHost("sveltekit", async () => {
    if (bodySizeLimit !== undefined) process.env["BODY_SIZE_LIMIT"] = bodySizeLimit;
    process.env["PROTOCOL_HEADER"] = "x-forwarded-proto";
    const build = join(import.meta.dirname, "..", "fixtures", "sveltekit", "build", "handler.js");
    const { handler } = (await import(pathToFileURL(build).href)) as { handler: Listener };
    return (request, response) => {
      request.headers["x-forwarded-proto"] = "http";
      return handler(request, response);
    };
  });
}

/** The fixture app by Vite's development server. */
export function createKitDevHost(): (options: KeywayOptions) => Promise<Mounted> {
  return createStagedHost("sveltekit", async () => {
    const root = join(import.meta.dirname, "..", "fixtures", "sveltekit");
    const { createServer } = (await import(createRequire(join(root, "package.json")).resolve("vite"))) as Vite;
    const vite = await createServer({ root, server: { middlewareMode: true, ws: false }, logLevel: "error" });
    return vite.middlewares;
  });
}

interface Vite {
  readonly createServer: (options: object) => Promise<{ readonly middlewares: Listener }>;
}
