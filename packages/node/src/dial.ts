import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import type { Duplex } from "node:stream";
import { type Answer, type Ending, type Exchange, type Head, ProxyError, closingRefusal } from "@keyway/core";
import { type Early, isGone } from "./early.ts";
import { answerProblem, handshakeHeaders, switchingProtocols } from "./handshake.ts";
import { ReceivedHead, toFlat, toHeaderList } from "./head.ts";
import type { Runtime } from "./runtime.ts";
import { writeAnswer } from "./raw-answer.ts";
import { tunnel } from "./tunnel.ts";

/** A handshake that was admitted. */
export interface Handshake {
  readonly exchange: Exchange;
  readonly head: Head;
  readonly caller: Duplex;
  readonly early: Early;
  /** The server by which the caller came. */
  readonly server: unknown;
  readonly runtime: Runtime;
}

/** Opens the upstream side with the key in the handshake header, then tunnels bytes. Until then every refusal is an HTTP answer. */
export function dial(handshake: Handshake): void {
  const { exchange, head, caller, early, server, runtime } = handshake;
  const { up } = exchange;
  const request = openRequest(handshake);
  const wasListening = isListening(server);
  let over = false;
  let sent = false;
  const entry = { server, cut: () => void request.destroy(closingRefusal()), place: -1 };
  const late = (): void => void request.destroy(timeoutError());
  let deadline = setTimeout(late, up.timeouts.connect);

  /** True for whoever decides what becomes of the handshake. */
  function settle(): boolean {
    if (over) return false;
    over = true;
    clearTimeout(deadline);
    runtime.open.delete(entry);
    early.onGone = undefined;
    return true;
  }

  function answer(refusal: Answer, ending: Ending, error?: unknown): void {
    early.take();
    caller.resume();
    writeAnswer(caller, refusal);
    exchange.end(ending, { status: refusal.status, bytesIn: 0, bytesOut: 0, error });
  }

  function onUpgrade(response: IncomingMessage, upstream: Duplex, rest: Buffer): void {
    if (!settle()) return void upstream.destroy();
    const problem = answerProblem(response, head, runtime.keyway.transport.sockets.deflate);
    if (problem !== undefined) {
      upstream.destroy();
      const invalid = new ProxyError("upstream_invalid", { log: problem });
      return answer(exchange.failed("unanswered", invalid), "unanswered");
    }
    const { headers } = exchange.head(new ReceivedHead(101, []));
    caller.write(switchingProtocols(response, headers));
    const fromCaller = early.take();
    const closing = wasListening && !isListening(server);
    tunnel({ exchange, caller, upstream, fromCaller, fromUpstream: rest, server, closing, runtime });
  }

  runtime.open.add(entry);
  early.onGone = () => {
    if (!settle()) return;
    request.destroy();
    caller.destroy();
    exchange.end("left", { status: undefined, bytesIn: 0, bytesOut: 0 });
  };
  request.once("finish", () => {
    sent = true;
    clearTimeout(deadline);
    if (!over) deadline = setTimeout(late, up.timeouts.head);
  });
  request.on("error", (error) => {
    const ending = sent ? "unanswered" : "unsent";
    if (settle()) answer(exchange.failed(ending, error), ending, error);
  });
  request.on("response", (response) => {
    response.resume();
    request.destroy();
    if (settle()) answer(refusalOf(exchange, response), "complete");
  });
  request.on("upgrade", onUpgrade);
  request.end();
  if (isGone(caller)) early.onGone?.();
  if (runtime.closed) entry.cut();
}

/** Connections may be handed to a server that listens nowhere itself. */
function isListening(server: unknown): boolean {
  return (Object(server) as { listening?: boolean }).listening === true;
}

/** Every handshake has a connection of its own, but no agent of its own. */
const plainAgent = new HttpAgent();
const secureAgent = new HttpsAgent({ maxCachedSessions: 0 });

function openRequest({ exchange: { up }, head, runtime }: Handshake): ClientRequest {
  const url = new URL(up.origin);
  const headers = handshakeHeaders(up.headers, head, runtime.keyway.transport.sockets.deflate);
  const [open, agent] = url.protocol === "https:" ? [requestHttps, secureAgent] : [requestHttp, plainAgent];
  return open({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? undefined : Number(url.port),
    path: up.path,
    method: "GET",
    headers: ["Host", url.host, ...toFlat(headers)],
    agent,
    rejectUnauthorized: true,
  });
}

function timeoutError(): Error {
  const error = new Error("fal.ai did not answer the handshake in time");
  error.name = "TimeoutError";
  return error;
}

/** Upstream refused the handshake: the exchange says what of it the caller may see. */
function refusalOf(exchange: Exchange, response: IncomingMessage): Answer {
  const { status, headers, body } = exchange.head(
    new ReceivedHead(response.statusCode ?? 502, toHeaderList(response.rawHeaders)),
  );
  return { type: "answer", status, headers, body: body instanceof Uint8Array ? body : new Uint8Array(0) };
}
