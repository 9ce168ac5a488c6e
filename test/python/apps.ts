import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { type ExampleName, startExample } from "../browser/example.ts";
import { type Certificate, freePort, listenOnFreePort } from "../upstream.ts";

/** An example, built for production, behind a front that speaks TLS. */
export interface App {
  readonly name: ExampleName;
  /** `https://localhost:<port>`: what the app knows as its own address. */
  readonly origin: string;
  /** Where it listens without TLS, on this machine. */
  readonly port: number;
  readonly close: () => Promise<void>;
}

/** What an example is told of the world around it. */
interface Surroundings {
  readonly upstream: string;
  /** Where callers may have results sent. */
  readonly hooks: string;
  readonly certificate: Certificate;
}

export async function startApp(name: ExampleName, { upstream, hooks, certificate }: Surroundings): Promise<App> {
  const port = await freePort();
  const front = await startFront(port, certificate);
  const example = await startExample(name, {
    NODE_ENV: "production",
    PORT: String(port),
    PUBLIC_URL: front.origin,
    KEYWAY_UPSTREAM: upstream,
    WEBHOOK_ORIGINS: hooks,
    FAL_KEY: "kept-key-id:kept-key-secret",
  });
  return {
    name,
    origin: front.origin,
    port,
    async close() {
      await front.close();
      await example.close();
    },
  };
}

/**
 * Takes TLS off and passes the bytes on, as a load balancer does. Not TLS 1.3: over that the synchronous WebSockets of Python's package
 * `websockets` hang once in some hundred handshakes, before they have sent a byte, whatever they talk to.
 */
async function startFront(
  port: number,
  certificate: Certificate,
): Promise<{ readonly origin: string; readonly close: () => Promise<void> }> {
  const open = new Set<Socket>();
  const server = createTlsServer({ ...certificate, maxVersion: "TLSv1.2" }, (outer) => {
    const inner = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      open.add(from);
      from.on("error", () => to.destroy()).once("close", () => open.delete(from) && to.destroy());
      from.pipe(to);
    }
  });
  server.on("tlsClientError", () => undefined);
  const origin = `https://localhost:${await listenOnFreePort(server)}`;
  return {
    origin,
    async close() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
