import { createServer } from "node:http";
import { createNodeProxy } from "@keyway/node";
import { keyway } from "./keyway.ts";

const proxy = createNodeProxy(keyway);
export const server = createServer((req, res) => void proxy.handle(req, res));
server.on("upgrade", proxy.upgrade);
