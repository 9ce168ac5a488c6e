import { join } from "node:path";
import { build } from "vite";

/** The script of `client-page.ts` for a browser, as an app's build would make it. */
export async function bundleClientPage(): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: "error",
    resolve: { conditions: ["@keyway/source"] },
    build: {
      write: false,
      rolldownOptions: { input: join(import.meta.dirname, "client-page.ts"), output: { format: "iife" } },
    },
  });
  const [bundle] = [result].flat();
  if (bundle === undefined || !("output" in bundle)) throw new Error("Vite built nothing.");
  return bundle.output[0].code;
}
