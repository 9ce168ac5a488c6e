import { createServer, type Server } from "node:https";
import type { Emulator } from "@keyway/emulator";
import { createAuthority } from "../certificates.ts";
import { listenOnFreePort } from "../upstream.ts";
import type { Led } from "./browser.ts";

/** Stands for `wss://fal.run` itself, which the official client has written into it: the emulator behind TLS. */
export interface FalRun extends Led {
  close(): Promise<void>;
}

export async function startFalRun(emulator: Emulator): Promise<FalRun> {
  const certificate = createAuthority().issue(["fal.run"]);
  const server: Server = createServer(certificate, (req, res) => emulator.handle(req, res));
  server.on("upgrade", (req, socket, head) => emulator.upgrade(req, socket, head));
  const port = await listenOnFreePort(server);
  return {
    host: "fal.run",
    port,
    certificate,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
