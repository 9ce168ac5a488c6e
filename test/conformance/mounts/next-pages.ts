import type { Mount } from "../mount.ts";
import { createNextHost } from "../next-host.ts";

export const nextPages: Mount = {
  name: "next-pages",
  transport: "node",
  noSockets: "an API route of Next gets no upgrades",
  startMount: createNextHost("next-pages"),
};
