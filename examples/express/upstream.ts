import type { RequestHandler } from "express";
import { fail, settings } from "./settings.ts";

/** Who answers the calls. */
export interface Upstream {
  /** For people: printed at the start. */
  readonly name: string;
  /** A local emulator; undefined for fal.ai itself, with the key of the environment. */
  readonly emulatorUrl: string | undefined;
  /** The emulator's file store, to be served by this app at {@link filesPath}. */
  readonly files?: RequestHandler;
  close(): Promise<void>;
}

export const filesPath = "/emulated-files";

/** The emulator that `KEYWAY_UPSTREAM` names, else fal.ai when there is a key, else an emulator of our own. */
export const upstream: Upstream = await findUpstream();

async function findUpstream(): Promise<Upstream> {
  const close = async (): Promise<void> => undefined;
  const { upstreamUrl } = settings;
  if (upstreamUrl !== undefined) return { name: `the emulator at ${upstreamUrl}`, emulatorUrl: upstreamUrl, close };
  if (settings.hasKey) return { name: "fal.ai, with the key of the environment", emulatorUrl: undefined, close };
  if (settings.isProduction)
    return fail("FAL_KEY is not set. In production this app calls fal.ai and needs it: FAL_KEY=<key id>:<key secret>");
  return startEmulator();
}

async function startEmulator(): Promise<Upstream> {
  const { createEmulator } = await import("@keyway/emulator");
  const { publicOrigin } = settings;
  // Pages on other machines cannot reach the emulator, so they get its files from this app.
  const emulator = createEmulator(publicOrigin === undefined ? {} : { cdnUrl: publicOrigin + filesPath });
  const { url } = await emulator.listen();
  return {
    name: `a local emulator at ${url}, because FAL_KEY is not set`,
    emulatorUrl: url,
    files(req, res) {
      res.setHeader("content-security-policy", "sandbox"); // an uploaded page is not one of ours
      req.url = `/v3b.fal.media${req.url}`;
      emulator.handle(req, res);
    },
    close: () => emulator.close(),
  };
}
