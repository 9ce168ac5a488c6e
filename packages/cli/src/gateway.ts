import { type IncomingMessage, type RequestListener, type Server, ServerResponse, createServer } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type Keyway, ProxyError, invalidOption } from "@keyway/core";
import { type Drained, asksForSocket, createNodeProxy } from "@keyway/node";
import type { GatewaySettings } from "./gateway-settings.ts";
import { codeOf } from "./thrown.ts";

/** A server of its own around one Keyway. */
export interface Gateway {
  /** Rejects with what the system said. Answers the URL of the mount. */
  readonly listen: () => Promise<string>;
  /** Refuses new connections, lets open calls end, cuts off what is left after `timeouts.drain`. */
  readonly close: () => Promise<Drained>;
}

/** Behind a reverse proxy the gateway must keep idle connections for longer than the proxy does (nginx: 60 s), in milliseconds. */
const keepAlive = 75_000;
/** How long the last bytes of answers may take to leave, in milliseconds. */
const lastBytes = 2000;
/** How long an answer of the store counts for readiness, in milliseconds: whoever asks for it must not load the store. */
const readyFor = 1000;

/** Serves the mount with WebSockets, the webhook door, `/healthz` and `/readyz`; every other path is 404. */
export function createGateway(keyway: Keyway, settings: GatewaySettings): Gateway {
  const { mount, host, port, tls, webhookPath } = settings;
  const proxy = createNodeProxy(keyway);
  let closing = false;
  const own = ownRoutes(keyway, () => closing);
  const server = listenTo(tls, (req, res) => {
    const path = pathOf(req);
    const route = own.get(path);
    if (route !== undefined) route(res);
    else if (path === webhookPath) void proxy.webhook(req, res);
    else if (isBelow(path, mount)) void proxy.handle(req, res, { mount });
    else answerNothingHere(res);
  });
  server.keepAliveTimeout = keepAlive;
  server.on("upgrade", (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isBelow(pathOf(req), mount)) proxy.upgrade(req, socket, head, { mount });
    else refuseUpgrade(req, socket as Socket);
  });
  let settled = true;
  const settleNext = async (): Promise<void> => {
    if (!settled) return;
    settled = false;
    await settle(keyway);
    settled = true;
  };
  const settling = setInterval(() => void settleNext(), settings.settleEvery).unref();
  return {
    listen: () => listen(server, { host, port, mount, secure: tls !== undefined }),
    async close() {
      closing = true;
      clearInterval(settling);
      const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
      const drained = await proxy.close();
      server.closeIdleConnections();
      await Promise.race([closed, after(lastBytes)]);
      server.closeAllConnections();
      await keyway.close();
      return drained;
    },
  };
}

function ownRoutes(keyway: Keyway, isClosing: () => boolean): ReadonlyMap<string, (res: ServerResponse) => void> {
  const isReady = createReadiness(keyway);
  const answerReady = async (res: ServerResponse): Promise<void> => {
    const ready = await isReady();
    if (ready && !isClosing()) answer(res, 200, { status: "ready" });
    else answer(res, 503, { status: isClosing() ? "closing" : "store unavailable" });
  };
  return new Map([
    ["/healthz", (res) => answer(res, 200, { status: "ok" })],
    ["/readyz", (res) => void answerReady(res)],
  ]);
}

function listenTo(tls: GatewaySettings["tls"], listener: RequestListener): Server {
  if (tls === undefined) return createServer({ shouldUpgradeCallback: asksForSocket }, listener);
  try {
    return createTlsServer({ ...tls, minVersion: "TLSv1.2", shouldUpgradeCallback: asksForSocket }, listener);
  } catch (error) {
    throw invalidOption(
      `the TLS files do not fit (${codeOf(error)}): --tls-cert takes the certificate chain in PEM, --tls-key its private key`,
    );
  }
}

interface Place {
  readonly host: string;
  readonly port: number;
  readonly mount: string;
  readonly secure: boolean;
}

function listen(server: Server, { host, port, mount, secure }: Place): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      const name = host.includes(":") ? `[${host}]` : host;
      resolve(`${secure ? "https" : "http"}://${name}:${(server.address() as AddressInfo).port}${mount}`);
    });
  });
}

async function settle(keyway: Keyway): Promise<void> {
  try {
    await keyway.settle();
  } catch (cause) {
    keyway.transport.log.error("jobs could not be settled, and will be later", cause);
  }
}

/** `usage` asks the store and nobody else. */
function createReadiness(keyway: Keyway): () => Promise<boolean> {
  let asked = { at: -Infinity, ready: Promise.resolve(false) };
  return () => {
    const now = performance.now();
    if (now - asked.at > readyFor) {
      const ready = keyway.usage().then(
        () => true,
        () => false,
      );
      asked = { at: now, ready };
    }
    return asked.ready;
  };
}

function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?", 1)[0] ?? "";
}

function isBelow(path: string, mount: string): boolean {
  return path === mount || path.startsWith(`${mount}/`);
}

function refuseUpgrade(req: IncomingMessage, socket: Socket): void {
  socket.on("error", () => socket.destroy());
  const res = new ServerResponse(req);
  res.assignSocket(socket);
  res.shouldKeepAlive = false;
  res.once("finish", () => socket.destroySoon());
  answerNothingHere(res);
}

function answerNothingHere(res: ServerResponse): void {
  const { code, message, status } = new ProxyError("route_not_found");
  answer(res, status, { message, detail: message, code });
}

function answer(res: ServerResponse, status: number, body: object): void {
  res.on("error", () => undefined);
  const text = JSON.stringify(body);
  res.writeHead(status, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store, private",
    "x-content-type-options": "nosniff",
  });
  res.end(res.req.method === "HEAD" ? undefined : text);
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
