import type { Server } from "node:http";
import { listenOnFreePort } from "../../upstream.ts";

/** Tells the bench where this process listens, collects garbage when asked to, and ends with the bench. */
export function announce(url: string): void {
  process.on("message", () => {
    globalThis.gc?.();
    process.send?.("collected");
  });
  process.on("disconnect", () => process.exit());
  process.send?.(url);
}

export async function listenAndAnnounce(server: Server): Promise<void> {
  announce(`http://127.0.0.1:${await listenOnFreePort(server)}`);
}
