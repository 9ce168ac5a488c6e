import { join } from "node:path";
import { defineConfig } from "vitest/config";

/** Every mount, the frameworks' builds among them. */
export default defineConfig({
  root: join(import.meta.dirname, "..", ".."),
  ssr: { resolve: { conditions: ["@keyway/source"] } },
  // A busy machine may miss a deadline once; a fault shows every time.
  test: {
    include: ["test/conformance/**/*.test.ts"],
    testTimeout: 20_000,
    retry: process.env["CI"] === "true" ? 2 : 0,
  },
});
