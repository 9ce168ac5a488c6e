// Keyway in Express with its rules on, in a process of its own.
import { createHandler } from "@keyway/express";
import express from "express";

const [upstream = ""] = process.argv.slice(2);
const proxy = createHandler({
  authorize: ({ headers }) => (headers.get("authorization") === "Bearer bench-caller" ? { id: "ada" } : null),
  endpoints: ["fal-ai/**"],
  ownership: "app",
  // Counted as ever, and never reached.
  limits: { caller: { requests: { max: 1_000_000_000, per: "minute" }, jobs: 1_000_000_000, streams: 100_000 } },
  upstream: { url: upstream, key: "bench" },
});
const app = express().disable("x-powered-by");
app.use("/api/fal/proxy", proxy);
const server = app.listen(0, "127.0.0.1", () => process.send?.(server.address()));
server.on("upgrade", proxy.upgrade);
process.on("message", () => process.send?.({ rss: process.memoryUsage.rss() }));
process.on("disconnect", () => process.exit(0));
