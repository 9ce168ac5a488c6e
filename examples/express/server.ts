import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createHandler } from "@keyway/express";
import express, { type ErrorRequestHandler } from "express";
import { closeEvents, sendEvents } from "./events.ts";
import { callerOf, keyway, mount } from "./keyway.ts";
import { createBuiltPage, createDevPage } from "./page.ts";
import { refuseStranger, session, userOf } from "./session.ts";
import { fail, settings } from "./settings.ts";
import { filesPath, upstream } from "./upstream.ts";

const app = express();
const server = createServer(app);
const page = settings.isDevelopingPage ? await createDevPage(mount) : createBuiltPage();
app.disable("x-powered-by");

// Both come before body parsers: the proxy forwards bodies byte for byte, and webhooks are signed over them.
const proxy = createHandler(keyway);
app.use(mount, proxy);
app.post("/api/fal/webhook", proxy.webhook);
server.on("upgrade", proxy.upgrade);

app.use("/api", (_req, res, next) => {
  res.setHeader("cache-control", "no-store");
  next();
});
app.use("/api/session", session);

app.get("/api/config", (req, res) => {
  res.json({ emulator: upstream.emulatorUrl !== undefined, user: userOf(req) });
});

app.get("/api/usage", async (req, res) => {
  const user = userOf(req);
  if (user === undefined) refuseStranger(res);
  else res.json(await keyway.usage(callerOf(user)));
});

app.get("/api/events", async (req, res) => {
  const user = userOf(req);
  if (user === undefined) refuseStranger(res);
  else sendEvents(res, await keyway.callerHash(user), req.get("last-event-id"));
});

app.use("/api", (_req, res) => {
  res.status(404).json({ message: "There is nothing at this path.", code: "not_found" });
});

if (upstream.files !== undefined) app.use(filesPath, upstream.files);
app.use(page.handler);
if (page.upgrade !== undefined) server.on("upgrade", page.upgrade);

/** Four parameters make it an error handler to Express. */
const onError: ErrorRequestHandler = (error, _req, res, _next) => {
  const status = typeof error?.status === "number" ? error.status : 500;
  if (status >= 500) console.error(error);
  res
    .status(status)
    .json({ message: status >= 500 ? "Something went wrong." : "The request cannot be read.", code: "failed" });
};
app.use(onError);

server.once("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EADDRINUSE")
    fail(`Port ${settings.port} is taken. Free it, or choose another: PORT=${settings.port + 1}`);
  fail(`This app cannot listen on ${settings.host}:${settings.port}: ${error.message}`);
});

server.listen(settings.port, settings.host, () => {
  const { port } = server.address() as AddressInfo;
  const host = settings.host.includes(":") ? `[${settings.host}]` : settings.host;
  console.log(`Keyway's example is at http://${host}:${port}`);
  console.log(`Calls go to ${upstream.name}.`);
  if (settings.isProduction && settings.publicOrigin === undefined) {
    console.warn(
      "PUBLIC_URL is not set: pages cannot call until it says where they find the proxy, such as https://app.example/api/fal/proxy.",
    );
  }
});

/** Refuses new calls, lets open ones end, and closes everything. A second Ctrl-C does not wait. */
async function stop(): Promise<void> {
  console.log("Closing when open calls have ended.");
  server.close();
  closeEvents();
  await proxy.close();
  await page.close();
  await upstream.close();
  server.closeAllConnections();
  process.exit(0);
}
process.once("SIGINT", () => void stop());
process.once("SIGTERM", () => void stop());
