import { createRequire } from "node:module";
import { join } from "node:path";
import type { KeywayOptions } from "@keyway/core";
import type { Mounted } from "./mount.ts";
import { type Listener, createStagedHost } from "./staged-host.ts";

interface NextApp {
  prepare(): Promise<void>;
  getRequestHandler(): Listener;
}

const next = createRequire(import.meta.url)("next") as (options: {
  dev: boolean;
  dir: string;
  quiet: boolean;
}) => NextApp;

/** A fixture app by Next's own server: its production build, or compiled as it is asked for. */
export function createNextHost(app: string, dev = false, path?: string): (options: KeywayOptions) => Promise<Mounted> {
  return createStagedHost(app, () => startNext(app, dev), path);
}

export async function startNext(app: string, dev = false): Promise<Listener> {
  const running = next({ dev, dir: join(import.meta.dirname, "..", "fixtures", app), quiet: true });
  await running.prepare();
  return running.getRequestHandler();
}
