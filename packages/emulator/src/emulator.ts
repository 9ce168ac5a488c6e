import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { App } from "./app.ts";
import type { RecordedCall } from "./calls.ts";
import type { RecordedDelivery } from "./deliveries.ts";
import type { Faults } from "./faults.ts";
import { handleHttp } from "./http.ts";
import { resolveOptions, type EmulatorOptions } from "./options.ts";
import { createPlatform } from "./platform.ts";
import { handleUpgrade } from "./upgrade.ts";

/** Where an emulator listens. */
export interface Listening {
  /** Such as `http://127.0.0.1:4100`, without a slash at the end. */
  readonly url: string;
  readonly port: number;
}

/** A local fal.ai. */
export interface Emulator {
  /** Listens on a port of its own: any free one of 127.0.0.1 by default. Rejects when the port is taken. */
  listen(where?: { readonly port?: number; readonly host?: string }): Promise<Listening>;
  /** Stops everything: listening, connections, sockets, jobs, timers. May be called twice. */
  close(): Promise<void>;
  /** Answers a request of somebody else's HTTP server. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** Answers a WebSocket handshake of somebody else's HTTP server. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Registers an app for a name and the paths below it; a demo of the same name is replaced. */
  app<Input = Record<string, unknown>>(name: string, app: App<Input>): void;
  /** What reached fal's hosts, oldest first. Live: it grows, and its entries fill in. The last 10,000 are kept. */
  readonly calls: readonly RecordedCall[];
  /** The next call to arrive that matches; resolves when its head has been read. */
  nextCall(matches?: (call: RecordedCall) => boolean): Promise<RecordedCall>;
  /** What is to go wrong. */
  readonly faults: Faults;
  /** Tries of bringing results to webhooks, oldest first. Live; the last 1,000 are kept. */
  readonly deliveries: readonly RecordedDelivery[];
  /**
   * Forgets calls, deliveries, faults, jobs and files. Apps and open connections stay. No id comes twice, as with fal; with `ids: true` they
   * start again, to compare two runs: a proxy that knew the jobs of the first takes those of the second for them.
   */
  reset(what?: { readonly ids?: boolean }): void;
}

/**
 * Makes a local fal.ai: queue, runs, streams, tokens, uploads and realtime, without a network, a key or a cost. It answers
 * by Host header (`queue.fal.run`) and by path prefix (`/queue.fal.run/…`) alike.
 *
 * @example
 * const emulator = createEmulator({ timeScale: 0 });
 * emulator.app("me/twice", ({ n }: { n: number }) => ({ n: 2 * n }));
 * const { url } = await emulator.listen();
 * await fetch(`${url}/fal.run/me/twice`, { method: "POST", headers: { authorization: "Key any" }, body: '{"n":21}' });
 * await emulator.close();
 */
export function createEmulator(options: EmulatorOptions = {}): Emulator {
  const platform = createPlatform(resolveOptions(options));
  const sockets = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    handleProtocols: () => false,
    maxPayload: 64 * 1024 * 1024,
  });
  const open = new Set<Duplex>();
  let server: Server | undefined;

  function track(socket: Duplex): void {
    if (open.has(socket)) return;
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  }

  function handle(request: IncomingMessage, response: ServerResponse): void {
    track(request.socket);
    void handleHttp(request, response, platform);
  }

  function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    track(socket);
    void handleUpgrade({ request, socket, head }, sockets, platform).catch(() => socket.destroy());
  }

  return {
    handle,
    upgrade,
    async listen({ port = 0, host = "127.0.0.1" } = {}) {
      if (server !== undefined) throw new Error("The emulator is listening already.");
      server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0 }, handle).on("upgrade", upgrade);
      try {
        const listening = await listenOn(server, port, host);
        platform.origin = listening.url;
        return listening;
      } catch (error) {
        server = undefined;
        throw error;
      }
    },
    async close() {
      const closing = server;
      server = undefined;
      platform.origin = undefined;
      const closed = closing === undefined ? undefined : new Promise((resolve) => closing.close(resolve));
      platform.deliveries.reset();
      platform.jobs.reset();
      for (const socket of open) socket.destroy();
      closing?.closeAllConnections(); // those that have sent nothing yet
      await closed;
    },
    app: (name, app) => platform.apps.add(name, app as App),
    calls: platform.calls.list,
    nextCall: (matches = () => true) => platform.calls.next(matches),
    faults: platform.faults,
    deliveries: platform.deliveries.list,
    reset({ ids = false } = {}) {
      platform.deliveries.reset();
      platform.deliveries.clear();
      platform.jobs.reset();
      platform.calls.clear();
      platform.faults.clear();
      platform.files.clear();
      platform.ids.reset(ids);
    },
  };
}

async function listenOn(server: Server, port: number, host: string): Promise<Listening> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  const name = ["0.0.0.0", "::", ""].includes(host) ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  return { url: `http://${name}:${address.port}`, port: address.port };
}
