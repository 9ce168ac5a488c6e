import { existsSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import express, { type RequestHandler } from "express";
import { fail } from "./settings.ts";
import { upstream } from "./upstream.ts";

/** What serves the page: its build, or Vite while it is being worked on. */
export interface Page {
  readonly handler: RequestHandler;
  /** For WebSockets that are not the proxy's. */
  readonly upgrade?: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
  close(): Promise<void>;
}

const root = import.meta.dirname;

/** The page as `vite build` left it in `dist`. */
export function createBuiltPage(): Page {
  const dist = join(root, "dist");
  if (!existsSync(join(dist, "index.html"))) fail("The page is not built yet: npm run build, or start with --dev.");
  const handler = express.static(dist, {
    setHeaders(res, path) {
      const isHashed = path.startsWith(join(dist, "assets"));
      res.setHeader("cache-control", isHashed ? "public, max-age=31536000, immutable" : "no-cache");
      res.setHeader("content-security-policy", contentPolicy);
      res.setHeader("x-content-type-options", "nosniff");
      res.setHeader("referrer-policy", "same-origin");
    },
  });
  return { handler, close: async () => undefined };
}

/** fal's file hosts take uploads from the browser and give results to it; the emulator has its own. */
const files =
  upstream.emulatorUrl === undefined ? "https://*.fal.media https://*.fal.ai" : "http://127.0.0.1:* http://localhost:*";
const contentPolicy = [
  "default-src 'self'",
  `connect-src 'self' wss://fal.run ${files}`, // wss: for pages that connect by token
  `img-src 'self' data: blob: https: ${files}`,
  `media-src 'self' data: blob: https: ${files}`,
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join("; ");

/** Vite's development server on a port of its own, fronted by http-proxy-middleware: modules, and the WebSocket that reloads them. */
export async function createDevPage(mount: string): Promise<Page> {
  const { createServer } = await import("vite");
  const { createProxyMiddleware } = await import("http-proxy-middleware");
  const vite = await createServer({ root, server: { host: "127.0.0.1", port: 5173 } });
  await vite.listen();
  const proxy = createProxyMiddleware({
    target: vite.resolvedUrls?.local[0] ?? "http://127.0.0.1:5173",
    changeOrigin: true,
    pathFilter: (path) => !path.startsWith(mount),
  });
  return {
    handler: proxy,
    upgrade(req, socket, head) {
      if (req.url?.startsWith(mount)) return;
      // Vite answers its own pages' WebSocket and leaves every other one open.
      if (/^vite-(?:hmr|ping)$/.test(req.headers["sec-websocket-protocol"] ?? ""))
        proxy.upgrade(req, socket as Socket, head);
      else socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    },
    close: () => vite.close(),
  };
}
