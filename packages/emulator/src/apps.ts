import type { App, AppContext } from "./app.ts";
import { demos, type DemoName } from "./demo/demos.ts";

/** The apps of one emulator. */
export interface Apps {
  /** Registers an app for its name and every path below it; a longer name wins, a repeated one replaces. */
  add(name: string, app: App): void;
  /** The app that plays an endpoint when called in this way. */
  find(endpoint: string, kind: AppContext["kind"]): App | undefined;
  readonly names: readonly string[];
}

const nameSyntax = /^[^/\s]+(\/[^/\s]+)+$/;

/** Names of fal models that make pictures; other names are played by the echo. */
const imageLike = /flux|diffusion|sdxl|lcm|image|photo|picture|draw|\blora\b|recraft|ideogram|seedream|banana|kolors/i;

export function createApps(fallback: boolean): Apps {
  const apps = new Map<string, App>(Object.entries(demos));
  return {
    add(name, app) {
      if (!nameSyntax.test(name)) {
        throw new TypeError(`An app is named owner/alias[/path], such as "demo/echo", not ${JSON.stringify(name)}.`);
      }
      apps.set(name, app);
    },
    find(endpoint, kind) {
      for (let name = endpoint; name.includes("/"); name = name.slice(0, name.lastIndexOf("/"))) {
        const app = apps.get(name);
        if (app !== undefined) return app;
      }
      return fallback && endpoint.startsWith("fal-ai/") ? apps.get(standIn(endpoint, kind)) : undefined;
    },
    get names() {
      return [...apps.keys()];
    },
  };
}

function standIn(endpoint: string, kind: AppContext["kind"]): DemoName {
  if (kind === "realtime") return "demo/realtime";
  if (kind === "stream") return "demo/stream";
  return imageLike.test(endpoint) ? "demo/image" : "demo/echo";
}
