import { createServer } from "node:http";
import { createKeyway } from "@keyway/core";
import { type Mount, listen } from "../mount.ts";
import { toListener } from "../web-host.ts";

const limits = {
  "last connection":
    "fetch of Node 22 takes a reset on a connection's last answer for the end of its chunks; Node 24 does not",
};

export const web: Mount = {
  name: "web",
  transport: "web",
  noSockets: "a Request cannot be upgraded in the web standard",
  ...(process.versions.node.startsWith("22.") ? { limits } : {}),
  startMount(options) {
    const keyway = createKeyway(options);
    return listen(createServer(toListener((request, context) => keyway.fetch(request, context))), keyway);
  },
};
