import { randomBytes } from "node:crypto";
import { ask } from "./ask.ts";
import { type Finding, ok, skipped, warning } from "./finding.ts";
import type { Patient } from "./patient.ts";
import { nobodysApp, refusedQuery } from "./probes.ts";

const attach =
  'Express or Node: server.on("upgrade", proxy.upgrade); Next.js (instrumentation.ts) and SvelteKit (src/hooks.server.ts): attachToServers(keyway)';

/**
 * Does a WebSocket handshake reach the proxy? It is sent in a version that does not exist, which only the upgrade door answers with
 * 426 (RFC 6455, section 4.4) and nobody sends on: the HTTP door would answer as to any stranger. Where a proxy in front makes a plain GET of
 * it, the query keeps that from being sent on.
 */
export async function checkUpgrade({ url }: Patient): Promise<readonly Finding[]> {
  if (url === undefined) return [skipped("no running app was named")];
  const at = new URL(url);
  at.pathname = `${url.pathname.replace(/\/$/, "")}/fal.run/${nobodysApp}/realtime`;
  at.search = refusedQuery;
  const answer = await ask(at, {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "12",
      "sec-websocket-key": randomBytes(16).toString("base64"),
    },
  });
  if ("why" in answer) return [warning(`nobody answers WebSocket handshakes (${answer.why})`, attach)];
  if (answer.code === "websocket_version") return [ok("WebSocket handshakes reach the proxy")];
  if (answer.code === undefined)
    return [
      warning(
        `something else answers WebSocket handshakes (${answer.status})`,
        `${attach}; and let nobody before it take upgrades of other paths`,
      ),
    ];
  return [
    warning(
      `a WebSocket handshake arrives as a plain request (${answer.status} ${answer.code})`,
      `${attach}; behind nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";`,
    ),
  ];
}
