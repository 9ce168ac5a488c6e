import { defineConfig } from "vite";

export default defineConfig({
  build: {
    // Nothing small is turned into data: URLs, and no script is put into the page: a strict content policy holds.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 300,
  },
});
