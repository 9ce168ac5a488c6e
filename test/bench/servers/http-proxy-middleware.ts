// http-proxy-middleware in Express, with connections to upstream kept alive.
import express from "express";
import { createServer, Agent } from "node:http";
import { Agent as TlsAgent } from "node:https";
import { createProxyMiddleware } from "http-proxy-middleware";
import { key } from "../payload.ts";
import { listenAndAnnounce } from "./announce.ts";

const [upstream = ""] = process.argv.slice(2);
const agent = upstream.startsWith("https:") ? new TlsAgent({ keepAlive: true }) : new Agent({ keepAlive: true });
const proxy = createProxyMiddleware({
  target: upstream,
  changeOrigin: true,
  agent,
  headers: { authorization: `Key ${key}` },
});
const server = createServer(express().disable("x-powered-by").use(proxy));
server.on("upgrade", proxy.upgrade);
await listenAndAnnounce(server);
