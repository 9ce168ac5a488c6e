import type { Mount } from "../mount.ts";
import { createNextHost } from "../next-host.ts";

export const nextApp: Mount = {
  name: "next-app",
  transport: "web",
  noSockets: "a route handler of Next gets no upgrades",
  startMount: createNextHost("next-app"),
};
