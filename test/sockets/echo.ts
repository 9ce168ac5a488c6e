import { createServer } from "node:http";
import { type Socket, connect } from "node:net";
import type { KeywayOptions } from "@keyway/core";
import { type Drained, attach } from "@keyway/node";
import { type ServerOptions, type WebSocket, WebSocketServer } from "ws";
import { type Upstream, listenOnFreePort, startUpstream } from "../upstream.ts";
import { frame, readFrames } from "./raw-frames.ts";

/** A WebSocket server behind the tunnel, and the way to it with the tunnel and without. */
export interface EchoPlace {
  readonly upstream: Upstream;
  readonly tunnelled: string;
  readonly direct: string;
  /** Upstream's ends that are open. */
  readonly accepted: ReadonlySet<WebSocket>;
  /** Closes the proxy alone. */
  drain(): Promise<Drained>;
  close(): Promise<void>;
}

const unlimited = { caller: { requests: { max: 1_000_000, per: "minute" }, streams: 100_000 } } as const;

/** Echoes every message, unless `serve` does something else. */
export async function startEcho(
  options: Partial<KeywayOptions> = {},
  serve: (socket: WebSocket) => void = echo,
  server: ServerOptions = {},
): Promise<EchoPlace> {
  const upstream = await startUpstream();
  const accepted = new Set<WebSocket>();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, ...server });
  upstream.upgrade((request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (one) => {
      accepted.add(one);
      one.on("error", () => undefined).on("close", () => accepted.delete(one));
      serve(one);
    }),
  );
  const front = createServer((_request, response) => response.writeHead(404).end());
  const proxy = attach(front, {
    authorize: "public",
    endpoints: "any",
    upstream: upstream.option,
    limits: unlimited,
    ...options,
    timeouts: { drain: 2000, socketClose: 1000, ...options.timeouts },
  });
  const port = await listenOnFreePort(front);
  return {
    upstream,
    tunnelled: `ws://127.0.0.1:${port}/api/fal/proxy/fal.run/demo/echo/realtime`,
    direct: `ws://127.0.0.1:${upstream.port}/fal.run/demo/echo/realtime`,
    accepted,
    drain: proxy.close,
    async close() {
      for (const one of accepted) one.terminate();
      await proxy.close();
      await upstream.close();
      front.closeAllConnections();
      await new Promise((resolve) => front.close(resolve));
    },
  };
}

function echo(socket: WebSocket): void {
  socket.on("message", (data, binary) => socket.send(data, { binary }));
}

export const handshakeLines = [
  "connection: Upgrade",
  "upgrade: websocket",
  "sec-websocket-version: 13",
  "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];

/** A handshake as it goes out. */
export function handshakeTo(url: string, lines: readonly string[] = handshakeLines, first = "GET"): string {
  const { host, pathname, search } = new URL(url);
  return [`${first} ${pathname}${search} HTTP/1.1`, `host: ${host}`, ...lines, "\r\n"].join("\r\n");
}

/** Everything the server said after its 101. The client says its pieces one by one, and parts when the server does. */
export function converse(url: string, pieces: readonly Buffer[], lines: readonly string[] = []): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(Number(new URL(url).port), "127.0.0.1").setNoDelay(true);
    const heard: Buffer[] = [];
    let open = false;
    let parted = false;
    const say = async (): Promise<void> => {
      for (const piece of pieces) {
        if (socket.destroyed || parted) return;
        if (!socket.write(piece)) await new Promise((go) => socket.once("drain", go).once("close", go));
        else if (pieces.length > 1 && pieces.length < 200) await new Promise(setImmediate);
      }
    };
    socket.on("data", (chunk) => {
      heard.push(chunk);
      if (!open) {
        const all = Buffer.concat(heard);
        const end = all.indexOf("\r\n\r\n");
        if (end < 0) return;
        open = true;
        if (!all.toString("latin1").startsWith("HTTP/1.1 101")) return void socket.destroy(new Error(all.toString()));
        heard.splice(0, heard.length, all.subarray(end + 4));
        void say();
      }
      if (!parted && mayClose(heard) && readFrames(Buffer.concat(heard)).some(({ opcode }) => opcode === 8)) {
        parted = true;
        socket.end(frame({ opcode: 8 }));
      }
    });
    socket.on("error", reject).on("close", () => resolve(Buffer.concat(heard)));
    socket.write(handshakeTo(url, [...handshakeLines, ...lines]));
  });
}

/** A close frame is small and comes last, so long answers are not parsed over and over. */
function mayClose(heard: readonly Buffer[]): boolean {
  const last = Buffer.concat(heard.slice(-2));
  return last.subarray(-127).includes(0x88);
}
