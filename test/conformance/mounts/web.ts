import { createServer } from "node:http";
import { createKeyway } from "@keyway/core";
import { type Mount, listen } from "../mount.ts";
import { toListener } from "../web-host.ts";

export const web: Mount = {
  name: "web",
  transport: "web",
  noSockets: "a Request cannot be upgraded in the web standard",
  startMount(options) {
    const keyway = createKeyway(options);
    return listen(createServer(toListener((request, context) => keyway.fetch(request, context))), keyway);
  },
};
