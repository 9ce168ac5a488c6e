import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, type Server as NetServer, type Socket, createServer as createNetServer } from "node:net";
import type { Duplex } from "node:stream";
import { type HeaderLine, toLines } from "./wire.ts";

/** One request as it reached the upstream, and the means to answer it in any way, polite or not. */
export interface Arrival {
  readonly method: string;
  /** Request target as sent: `/<fal host>/<path>?<query>`. */
  readonly url: string;
  /** Header lines as sent: order, case and repeats kept. */
  readonly headers: readonly HeaderLine[];
  /** All values of a header. */
  readonly values: (name: string) => string[];
  /** The body's bytes so far; complete when `whole` resolves. */
  readonly received: Buffer[];
  /** The whole body; rejects when the sender breaks off. */
  readonly whole: Promise<Buffer>;
  /** Resolves when the connection is closed. */
  readonly closed: Promise<void>;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly socket: Socket;
}

export type Script = (arrival: Arrival) => void;

/** A stand-in for fal.ai that records everything and answers as it is told. */
export interface Upstream {
  readonly port: number;
  readonly url: string;
  /** For Keyway's option `upstream`. */
  readonly option: { readonly url: string; readonly key: string };
  /** Everything that arrived, oldest first. */
  readonly arrivals: readonly Arrival[];
  /** Connections that were opened, TLS or not. */
  readonly connections: number;
  /** The next request that `next` has not given yet. */
  readonly next: () => Promise<Arrival>;
  /** How to answer from now on; at first `200 {"ok":true}`. */
  readonly answer: (script: Script) => void;
  /** What to do with WebSocket handshakes; at first 404. */
  readonly upgrade: (handler: (request: IncomingMessage, socket: Duplex, head: Buffer) => void) => void;
  readonly close: () => Promise<void>;
}

export const upstreamKey = "key-of-tests:0123456789abcdef";

/** What a TLS server shows, and how old-fashioned it is. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
  readonly minVersion?: "TLSv1";
  readonly maxVersion?: "TLSv1";
  readonly ciphers?: string;
}

/** Listens on a free port of 127.0.0.1; with a certificate it speaks TLS. */
export async function startUpstream(certificate?: Certificate): Promise<Upstream> {
  const arrivals: Arrival[] = [];
  const takers: ((arrival: Arrival) => void)[] = [];
  const open = new Set<Duplex>();
  let script: Script = always(200, { "content-type": "application/json" }, '{"ok":true}');
  let handshake = (_request: IncomingMessage, socket: Duplex, _head: Buffer): void => {
    socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
  };
  let taken = 0;
  let connections = 0;

  const arrive = (arrival: Arrival): void => {
    arrivals.push(arrival);
    const taker = takers.shift();
    if (taker === undefined) return;
    taken += 1;
    taker(arrival);
  };
  const server = createListener(certificate, (request, response) => {
    const arrival = toArrival(request, response);
    arrive(arrival);
    script(arrival);
  });
  server.on("connection", (socket: Socket) => {
    connections += 1;
    open.add(socket);
    socket.on("error", () => undefined).once("close", () => open.delete(socket));
  });
  // From here on the server listens to it no more, and a reset by the other side would be thrown.
  server.on("upgrade", (request, socket, head) =>
    handshake(
      request,
      socket.on("error", () => undefined),
      head,
    ),
  );
  const port = await listenOnFreePort(server);
  const url = `${certificate === undefined ? "http" : "https"}://127.0.0.1:${port}`;
  return {
    port,
    url,
    option: { url, key: upstreamKey },
    arrivals,
    get connections() {
      return connections;
    },
    next() {
      const waiting = arrivals[taken];
      if (waiting === undefined) return new Promise((resolve) => takers.push(resolve));
      taken += 1;
      return Promise.resolve(waiting);
    },
    answer: (given) => {
      script = given;
    },
    upgrade: (given) => {
      handshake = given;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

export async function listenOnFreePort(server: Pick<NetServer, "listen" | "address">): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** A port that nobody listens on, for a process that must be told its own. */
export async function freePort(): Promise<number> {
  const server = createNetServer();
  const port = await listenOnFreePort(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Answers with a length, unless the status has no body or the headers say it themselves. */
export function respond(
  response: ServerResponse,
  status: number,
  headers: Readonly<Record<string, string | string[]>> = {},
  body: string | Uint8Array = "",
): void {
  const framed = status === 204 || status === 304 || "content-length" in headers || "transfer-encoding" in headers;
  const length = framed ? {} : { "content-length": String(Buffer.byteLength(body)) };
  response.writeHead(status, { ...headers, ...length }).end(body);
}

/** A script that always answers the same, when the whole request is here. */
export function always(
  status: number,
  headers: Readonly<Record<string, string | string[]>> = {},
  body: string | Uint8Array = "",
): Script {
  return ({ response, whole }) => {
    whole.then(
      () => respond(response, status, headers, body),
      () => undefined,
    );
  };
}

/** A script that writes raw bytes on the connection and then, if told so, closes it politely or resets it. */
export function raw(bytes: string | Uint8Array, then: "keep" | "end" | "reset" = "keep"): Script {
  return ({ socket }) => {
    socket.write(bytes, () => {
      if (then === "end") socket.end();
      else if (then === "reset") socket.resetAndDestroy();
    });
  };
}

function createListener(certificate: Certificate | undefined, listener: RequestListener): Server {
  if (certificate === undefined) return createServer(listener);
  return createTlsServer({ minVersion: "TLSv1.2", ...certificate }, listener).on("tlsClientError", () => undefined);
}

function toArrival(request: IncomingMessage, response: ServerResponse): Arrival {
  const headers = toLines(request.rawHeaders);
  const received: Buffer[] = [];
  request.on("data", (chunk: Buffer) => received.push(chunk));
  response.on("error", () => undefined);
  request.socket.setMaxListeners(0);
  const whole = new Promise<Buffer>((resolve, reject) => {
    request.once("end", () => resolve(Buffer.concat(received)));
    request.once("error", reject);
    request.socket.once("close", () => reject(new Error("the sender broke off")));
  });
  whole.catch(() => undefined);
  return {
    method: request.method ?? "",
    url: request.url ?? "",
    headers,
    values: (name) => headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value),
    received,
    whole,
    closed: new Promise((resolve) => {
      if (request.socket.destroyed) resolve();
      else request.socket.once("close", () => resolve());
    }),
    request,
    response,
    socket: request.socket,
  };
}
