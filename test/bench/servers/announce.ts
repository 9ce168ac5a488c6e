import type { Server } from "node:http";
import { listenOnFreePort } from "../../upstream.ts";

/**
 * Tells the bench where this process listens, collects garbage when asked to, and ends with the bench. All that can be is collected: how
 * much V8 lets lie otherwise differs by 20 MB from one run to the next.
 */
export function announce(url: string): void {
  process.on("message", () => {
    globalThis.gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
    process.send?.("collected");
  });
  process.on("disconnect", () => process.exit());
  process.send?.(url);
}

export async function listenAndAnnounce(server: Server): Promise<void> {
  announce(`http://127.0.0.1:${await listenOnFreePort(server)}`);
}
