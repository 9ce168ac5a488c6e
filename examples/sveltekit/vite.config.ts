import adapter from "@sveltejs/adapter-node";
import { sockets } from "@keyway/sveltekit/vite";
import { sveltekit } from "@sveltejs/kit/vite";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [
    sockets(),
    sveltekit({
      adapter: adapter(),
      // Kit would refuse a cancel of fal's Python client, a PUT without content-type and Origin, and takes http for https.
      // Keyway checks the Origin of its own calls; every cookie of this app is SameSite=Lax, and signing in takes JSON, which no form sends.
      csrf: { trustedOrigins: ["*"] },
    }),
  ],
});
