import { join } from "node:path";
import { build } from "vite";

/** The script of `client-page.ts` for a browser. */
export function bundleClientPage(): Promise<string> {
  return bundlePage(join(import.meta.dirname, "client-page.ts"));
}

/** A page's script as an app's build would make it. */
export async function bundlePage(input: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["@keyway/source"] },
    build: {
      write: false,
      rolldownOptions: { input, output: { format: "iife" } },
    },
  });
  const [bundle] = [result].flat();
  if (bundle === undefined || !("output" in bundle)) throw new Error("Vite built nothing.");
  return bundle.output[0].code;
}
