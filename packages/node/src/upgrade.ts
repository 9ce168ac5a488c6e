import { createHash } from "node:crypto";
import { STATUS_CODES, type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Duplex } from "node:stream";
import {
  type Answer,
  type Door,
  type Exchange,
  type Head,
  type HeaderList,
  ProxyError,
  countOf,
  isPathForm,
  listsToken,
  valueOf,
} from "@keyway/core";
import { toFlat, toHead, toHeaderList } from "./head.ts";
import type { Runtime } from "./http.ts";
import { tunnel } from "./tunnel.ts";

/** Upgrades that some proxy has taken, so that mounting twice answers once. */
const taken = new WeakSet<IncomingMessage>();

/** Answers one `upgrade` event. Never rejects; leaves what is not addressed to the proxy to other listeners. */
export async function handleUpgrade(
  req: IncomingMessage,
  socket: Duplex,
  first: Buffer,
  runtime: Runtime,
): Promise<void> {
  if (taken.has(req)) return;
  const head = toHead(req, undefined, true);
  if (!isOurs(head, runtime)) {
    if (isOnlyListener(req)) refuseUnclaimed(req, socket);
    return;
  }
  taken.add(req);
  socket.on("error", () => socket.destroy());
  const door = createDoor(head, req, socket, runtime);
  const problem = handshakeProblem(head, req);
  const decided = problem === undefined ? await runtime.keyway.plan(door) : undefined;
  if (decided === undefined) return writeAnswer(socket, toRefusal(problem));
  if (decided.type === "answer") return writeAnswer(socket, decided);
  dial(decided, head, socket, first, runtime);
}

function isOurs(head: Head, runtime: Runtime): boolean {
  return isPathForm(head.path, runtime.keyway.transport.publicPath);
}

function isOnlyListener(req: IncomingMessage): boolean {
  const { server } = req.socket as { server?: { listenerCount?(event: string): number } };
  return (server?.listenerCount?.("upgrade") ?? 1) <= 1;
}

function refuseUnclaimed(req: IncomingMessage, socket: Duplex): void {
  taken.add(req);
  socket.on("error", () => socket.destroy());
  writeAnswer(socket, toRefusal(new ProxyError("route_not_found")));
}

/** What RFC 6455, section 4.2.1 asks of a client's handshake. */
function handshakeProblem({ headers, method }: Head, req: IncomingMessage): ProxyError | undefined {
  if (method !== "GET") return new ProxyError("method_refused", { headers: [["allow", "GET"]] });
  const key = valueOf(headers, "sec-websocket-key");
  const valid =
    req.httpVersion === "1.1" &&
    valueOf(headers, "upgrade")?.toLowerCase() === "websocket" &&
    listsToken(headers, "connection", "upgrade") &&
    countOf(headers, "sec-websocket-key") === 1 &&
    key !== undefined &&
    /^[+/0-9A-Za-z]{22}==$/.test(key);
  if (!valid) return new ProxyError("not_websocket");
  if (valueOf(headers, "sec-websocket-version") !== "13")
    return new ProxyError("websocket_version", { headers: [["sec-websocket-version", "13"]] });
  return protocolsOf(headers) === undefined ? new ProxyError("not_websocket") : undefined;
}

/** The offered subprotocols, or undefined when the list is malformed or repeats one (RFC 6455, section 4.1). */
function protocolsOf(headers: HeaderList): string[] | undefined {
  const line = headers.filter(([name]) => name === "sec-websocket-protocol").map(([, value]) => value);
  if (line.length === 0) return [];
  const names = line
    .join(",")
    .split(",")
    .map((name) => name.trim());
  const valid =
    names.every((name) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) && new Set(names).size === names.length;
  return valid ? names : undefined;
}

function createDoor(head: Head, req: IncomingMessage, socket: Duplex, runtime: Runtime): Door {
  return {
    head,
    native: undefined,
    codings: "pass",
    closing: runtime.closing,
    body: async () => new Uint8Array(0),
    isGone: () => socket.destroyed || req.destroyed,
    waitUntil: (work) => {
      work.catch((cause: unknown) => runtime.keyway.transport.log.error("work after an answer failed", cause));
    },
  };
}

/** Opens the upstream side with the key in the handshake header, then tunnels bytes. */
function dial(exchange: Exchange, head: Head, socket: Duplex, first: Buffer, runtime: Runtime): void {
  const { up } = exchange;
  const url = new URL(up.origin);
  const open = url.protocol === "https:" ? requestHttps : requestHttp;
  const request: ClientRequest = open({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? undefined : Number(url.port),
    path: up.path,
    method: "GET",
    headers: ["Host", url.host, ...toFlat(handshakeHeaders(up.headers, head))],
    agent: false,
    rejectUnauthorized: true,
    timeout: up.timeouts.head,
  });
  let over = false;
  const entry = { cut: () => request.destroy(new Error("closing")) };
  const settle = (): boolean => {
    if (over) return false;
    over = true;
    runtime.open.delete(entry);
    socket.off("close", leave);
    return true;
  };
  const leave = (): void => {
    if (!settle()) return;
    request.destroy();
    exchange.end("left", { status: undefined, bytesIn: 0, bytesOut: 0 });
  };
  const answer = (refusal: Answer, ending: "complete" | "unsent" | "unanswered", error?: unknown): void => {
    writeAnswer(socket, refusal);
    exchange.end(ending, { status: refusal.status, bytesIn: 0, bytesOut: 0, error });
  };
  runtime.open.add(entry);
  socket.on("close", leave);
  let sent = false;
  const deadline = setTimeout(() => request.destroy(timeoutError()), up.timeouts.connect + up.timeouts.head).unref();
  request.once("close", () => clearTimeout(deadline));
  request.on("timeout", () => request.destroy(timeoutError()));
  request.on("socket", (upstream) =>
    upstream.once(url.protocol === "https:" ? "secureConnect" : "connect", () => (sent = true)),
  );
  request.on("error", (error) => {
    if (settle()) answer(exchange.failed(sent ? "unanswered" : "unsent", error), sent ? "unanswered" : "unsent", error);
  });
  request.on("response", (response) => {
    response.resume();
    request.destroy();
    if (settle()) answer(refusalOf(exchange, response), "complete");
  });
  request.on("upgrade", (response, upstream, rest) => {
    clearTimeout(deadline);
    upstream.setTimeout(0);
    const problem = answerProblem(response, head);
    if (problem !== undefined) {
      upstream.destroy();
      if (settle())
        answer(exchange.failed("unanswered", new ProxyError("upstream_invalid", { log: problem })), "unanswered");
      return;
    }
    if (!settle()) return void upstream.destroy();
    exchange.head({ status: 101, headers: toHeaderList(response.rawHeaders) });
    socket.write(switching(response));
    tunnel({ exchange, caller: socket, upstream, fromCaller: first, fromUpstream: rest, runtime });
  });
  request.end();
}

function timeoutError(): Error {
  const error = new Error("fal.ai did not answer the handshake in time");
  error.name = "TimeoutError";
  return error;
}

/** The caller's own key and version go on, so upstream's accept value fits; extensions are not offered. */
function handshakeHeaders(headers: HeaderList, head: Head): HeaderList {
  const own = head.headers.filter(([name]) =>
    ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"].includes(name),
  );
  return [
    ["connection", "Upgrade"],
    ["upgrade", "websocket"],
    ...own,
    ...headers.filter(([name]) => name !== "accept-encoding"),
  ];
}

/** Why upstream's 101 may not be passed on (RFC 6455, section 4.1), or undefined. */
function answerProblem({ headers }: IncomingMessage, head: Head): string | undefined {
  const key = valueOf(head.headers, "sec-websocket-key") ?? "";
  const expected = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (headers["sec-websocket-accept"] !== expected) return "fal.ai's handshake has a wrong Sec-WebSocket-Accept";
  if (headers["sec-websocket-extensions"] !== undefined)
    return "fal.ai chose a WebSocket extension that was not offered";
  const protocol = headers["sec-websocket-protocol"];
  if (protocol !== undefined && !(protocolsOf(head.headers) ?? []).includes(protocol))
    return "fal.ai chose a subprotocol that was not offered";
  return undefined;
}

function switching({ headers }: IncomingMessage): string {
  const protocol = headers["sec-websocket-protocol"];
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${headers["sec-websocket-accept"]}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    "\r\n",
  ].join("\r\n");
}

/** Upstream refused the handshake: the exchange says what of it the caller may see. */
function refusalOf(exchange: Exchange, response: IncomingMessage): Answer {
  const { status, headers, body } = exchange.head({
    status: response.statusCode ?? 502,
    headers: toHeaderList(response.rawHeaders),
  });
  return { type: "answer", status, headers, body: body instanceof Uint8Array ? body : new Uint8Array(0) };
}

function toRefusal(error: ProxyError | undefined): Answer {
  const refusal = error ?? new ProxyError("internal");
  const body = Buffer.from(JSON.stringify({ message: refusal.message, detail: refusal.message, code: refusal.code }));
  const headers: HeaderList = [
    ["content-type", "application/json"],
    ["content-length", String(body.length)],
    ["cache-control", "no-store, private"],
    ...refusal.headers,
  ];
  return { type: "answer", status: refusal.status, headers, body };
}

/** Writes an HTTP answer on a raw socket and closes it. */
function writeAnswer(socket: Duplex, { status, headers, body }: Answer): void {
  if (socket.destroyed) return;
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\nconnection: close\r\n${lines}\r\n`, "latin1");
  socket.end(body);
  setTimeout(() => socket.destroy(), 1000).unref();
}
