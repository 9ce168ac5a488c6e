import { createServer } from "node:http";
import { createNodeProxy } from "@keyway/node";
import { type Mount, listen } from "../mount.ts";

export const node: Mount = {
  name: "node",
  transport: "node",
  startMount(options) {
    const proxy = createNodeProxy(options);
    const server = createServer((request, response) => void proxy.handle(request, response));
    return listen(server.on("upgrade", proxy.upgrade), proxy);
  },
};
