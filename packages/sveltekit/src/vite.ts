import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { attachOnLoad } from "@keyway/node";

/** What the plugin looks at in Vite's development server. Fits Vite 5 to 8. */
interface DevServer {
  readonly httpServer: object | null;
  readonly config: { readonly base: string; readonly server: { readonly https?: unknown } };
}

/** A plugin of Vite. */
export interface SocketsPlugin {
  readonly name: string;
  readonly apply: "serve";
  configureServer(vite: DevServer): void;
}

/**
 * Carries WebSockets in `vite dev`, where SvelteKit loads `src/hooks.server.ts` with the first HTTP request: has it loaded before a
 * handshake is decided. Preview and production need no plugin.
 *
 * @example
 * // vite.config.ts
 * export default defineConfig({ plugins: [sveltekit(), sockets()] });
 * // src/hooks.server.ts
 * attachToServers(keyway);
 */
export function sockets(): SocketsPlugin {
  return {
    name: "keyway-sockets",
    apply: "serve",
    configureServer({ httpServer, config }) {
      if (httpServer === null) return;
      const server = httpServer as Server;
      attachOnLoad(server, () => askOnce(server, config));
    },
  };
}

/** Any request has SvelteKit load what it needs or what has changed; its answer does not matter. */
function askOnce(server: Server, { base, server: { https } }: DevServer["config"]): Promise<unknown> {
  const { port, address } = server.address() as AddressInfo;
  const everywhere = address === "0.0.0.0" || address === "::";
  const host = everywhere ? "127.0.0.1" : address;
  const request = https === undefined ? requestHttp : requestHttps;
  return new Promise((resolve) => {
    // The certificate is the development server's own, and nothing secret is sent.
    const options = { host, port, path: `${base}~keyway`, method: "HEAD", agent: false, rejectUnauthorized: false };
    request(options).on("response", resolve).on("error", resolve).end();
  });
}
