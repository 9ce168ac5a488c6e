import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Every mount, the frameworks' builds among them. */
export default defineConfig({
  root: join(import.meta.dirname, "..", ".."),
  ssr: { resolve: { conditions: ["@keyway/source"] } },
  test: { include: ["test/conformance/**/*.test.ts"], testTimeout: 20_000 },
});
