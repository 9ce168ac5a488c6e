import { createKitHost } from "../kit-host.ts";
import type { Mount } from "../mount.ts";

export const sveltekit: Mount = {
  name: "sveltekit",
  transport: "web",
  noSockets: "a request handler of SvelteKit gets no upgrades",
  startMount: createKitHost(),
};
