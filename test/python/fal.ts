import { createServer } from "node:https";
import { type Emulator, createEmulator } from "@keyway/emulator";
import { type Certificate, listenOnFreePort } from "../upstream.ts";

/** The emulator that all examples call, with an app whose second event waits until another call asks for it. */
export function createFal(): Emulator {
  const held = new Map<string, () => void>();
  const emulator = createEmulator({ timeScale: 0.05 });
  emulator.app("demo/hold", async ({ mark }: { readonly mark: string }, context) => {
    const released = new Promise<void>((resolve) => held.set(mark, resolve));
    await context.emit({ step: 1 });
    await released;
    return { step: 2 };
  });
  emulator.app("demo/release", ({ mark }: { readonly mark: string }) => {
    held.get(mark)?.();
    return { released: held.delete(mark) };
  });
  return emulator;
}

/** A receiver of webhooks that takes everything; what came is in the emulator's list of deliveries. */
export async function startHooks(certificate: Certificate): Promise<{ readonly origin: string; close(): void }> {
  const server = createServer(certificate, (request, response) => request.resume().on("end", () => response.end()));
  const origin = `https://localhost:${await listenOnFreePort(server)}`;
  return {
    origin,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Keys that reached fal: the emulator's own, and never an app's token. */
export function keysIn({ calls }: Emulator): string[] {
  const lines = calls.flatMap(({ headers }) => headers.filter(([name]) => name.toLowerCase() === "authorization"));
  return [...new Set(lines.map(([, value]) => value))];
}
