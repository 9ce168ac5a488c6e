import { createNodeProxy } from "@keyway/node";
import fastify from "fastify";
import { keyway } from "./keyway.ts";

const proxy = createNodeProxy(keyway);
export const app = fastify();
app.all("/api/fal/proxy*", {
  // Before Fastify parses the body.
  onRequest: (request, reply) => proxy.handle(request.raw, reply.hijack().raw, { native: request }),
  handler: () => undefined,
});
app.server.on("upgrade", proxy.upgrade);
