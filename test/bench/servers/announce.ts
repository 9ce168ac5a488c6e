import type { Server } from "node:http";
import { listenOnFreePort } from "../../upstream.ts";

/**
 * Tells the bench where this process listens, collects garbage when asked to, and ends with the bench. Where all that can be is to be
 * collected, V8 goes on sparing memory for a while, so nothing is measured in that process but memory at rest.
 */
export function announce(url: string): void {
  process.on("message", (how) => {
    globalThis.gc?.({ type: "major", execution: "sync", flavor: how === "all" ? "last-resort" : "regular" });
    process.send?.("collected");
  });
  process.on("disconnect", () => process.exit());
  process.send?.(url);
}

export async function listenAndAnnounce(server: Server): Promise<void> {
  announce(`http://127.0.0.1:${await listenOnFreePort(server)}`);
}
