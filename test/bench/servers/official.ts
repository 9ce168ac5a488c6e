// @fal-ai/server-proxy in Express with the body parser that it needs.
import { createHandler } from "@fal-ai/server-proxy/express";
import express from "express";
import { createServer } from "node:http";
import { key } from "../payload.ts";
import { listenAndAnnounce } from "./announce.ts";

const [upstream = ""] = process.argv.slice(2);
process.env["FAL_KEY"] = key;
const { fetch } = globalThis;
globalThis.fetch = (input, init) => fetch((input as string).replace("https:/", upstream), init);

const app = express().disable("x-powered-by");
app.use(express.json());
app.all(
  "/api/fal/proxy",
  createHandler({
    allowedEndpoints: ["fal-ai/**"],
    allowUnauthorizedRequests: false,
    isAuthenticated: (behavior) => Promise.resolve(String(behavior.getHeader("cookie")).includes("session=")),
    resolveFalAuth: () => Promise.resolve(`Key ${key}`),
  }),
);
// The handler calls next() after its answer, and Express would then close the connection.
app.use((_request: unknown, _response: unknown, _next: unknown) => undefined);
await listenAndAnnounce(createServer(app));
