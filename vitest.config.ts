import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@keyway/source"] } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "test/**/*.test.ts"],
    // Next and SvelteKit take builds of their own: npm run conformance.
    exclude: ["test/conformance/frameworks/**", "**/node_modules/**"],
    testTimeout: 20_000,
  },
});
