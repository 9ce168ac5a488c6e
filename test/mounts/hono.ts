import { createNodeSender } from "@keyway/node";
import { Hono } from "hono";
import { keyway } from "./keyway.ts";

const sender = createNodeSender();
export const app = new Hono();
app.all("/api/fal/proxy/*", (c) => keyway.fetch(c.req.raw, { native: c, sender }));
