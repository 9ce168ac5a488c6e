import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type KeywayOptions, createHandler } from "@keyway/express";
import express from "express";
import { mountPath } from "../conformance/mount.ts";
import { type Certificate, listenOnFreePort } from "../upstream.ts";

/** A request that reached the mount, as the browser sent it. */
interface Knock {
  readonly method: string;
  /** Path and query below the mount. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly isUpgrade: boolean;
  /** Resolves with the status when the exchange is over; 0 for a socket. */
  readonly over: Promise<number>;
}

/** An app with Keyway in it, under every host name that leads to this machine. */
export interface Site {
  /** Its origin under one of its names. */
  readonly origin: (host: string) => string;
  readonly mount: (host: string) => string;
  /** What reached the mount, oldest first. */
  readonly knocks: readonly Knock[];
  /** What reached everything else: `<host> <path>`. */
  readonly visits: readonly string[];
  /** The next request to reach the mount. */
  readonly nextKnock: () => Promise<Knock>;
  readonly close: () => Promise<void>;
}

export interface SiteOptions {
  /** Makes it speak TLS. */
  readonly certificate?: Certificate;
  /** What every page loads. */
  readonly script?: string;
  /** Keyway's options, once the port is known. */
  readonly options: (origin: Site["origin"]) => KeywayOptions;
}

/** Serves `/`, a page; `/redirect?to=…`, which sends the browser there with the same method; and the mount. */
export async function startSite({ certificate, script = "", options }: SiteOptions): Promise<Site> {
  const knocks: Knock[] = [];
  const visits: string[] = [];
  const waiting: ((knock: Knock) => void)[] = [];
  const knock = (given: Knock): void => {
    knocks.push(given);
    for (const take of waiting.splice(0)) take(given);
  };
  const app = express().disable("x-powered-by");
  const server = createListener(certificate, app);
  const port = await listenOnFreePort(server);
  const origin = (host: string): string => `${certificate === undefined ? "http" : "https"}://${host}:${port}`;
  const proxy = createHandler(options(origin));

  app.use(mountPath, (req, res, next) => {
    const over = new Promise<number>((resolve) => res.once("close", () => resolve(res.statusCode)));
    knock({ method: req.method, url: req.url, headers: req.headers, isUpgrade: false, over });
    next();
  });
  app.use(mountPath, proxy);
  app.use((req, _res, next) => {
    visits.push(`${req.hostname} ${req.path}`);
    next();
  });
  app.get("/", (_req, res) => {
    res
      .type("html")
      .send('<!doctype html><title>a page</title><link rel="icon" href="data:,"><script src="/script.js"></script>');
  });
  app.get("/script.js", (_req, res) => {
    res.type("js").send(script);
  });
  app.all("/redirect", (req, res) => {
    res.redirect(307, new URL(req.originalUrl, origin("localhost")).searchParams.get("to") ?? "/");
  });
  server.on("upgrade", (req, socket, head) => {
    const over = new Promise<number>((resolve) => socket.once("close", () => resolve(0)));
    const url = (req.url ?? "").slice(mountPath.length);
    knock({ method: req.method ?? "", url, headers: req.headers, isUpgrade: true, over });
    proxy.upgrade(req, socket, head);
  });
  return {
    origin,
    mount: (host) => origin(host) + mountPath,
    knocks,
    visits,
    nextKnock: () => new Promise((resolve) => waiting.push(resolve)),
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await proxy.close();
      await closed;
    },
  };
}

function createListener(certificate: Certificate | undefined, listener: RequestListener): Server {
  return certificate === undefined ? createServer(listener) : createTlsServer(certificate, listener);
}
