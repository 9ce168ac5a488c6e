import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { WebSocket, WebSocketServer } from "ws";
import { addressOf } from "./address.ts";
import { refusal, type WholeAnswer } from "./answer.ts";
import { refuseCaller } from "./auth.ts";
import { callOf } from "./call.ts";
import { toLines } from "./calls.ts";
import { pause } from "./clock.ts";
import { unknownApplication } from "./errors.ts";
import { basesOf, requestIdOf, type Exchange } from "./exchange.ts";
import { answerOf, type Fault } from "./faults.ts";
import type { Platform } from "./platform.ts";
import { serveRealtime } from "./realtime.ts";
import { refuseToken } from "./session-fault.ts";

/** A WebSocket handshake as Node hands it over. */
export interface Handshake {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
}

/** Answers one handshake. Never rejects. */
export async function handleUpgrade(handshake: Handshake, sockets: WebSocketServer, platform: Platform): Promise<void> {
  const { request, socket } = handshake;
  const call = callOf(addressOf(request), true);
  const recorder = platform.calls.open(request, call);
  recorder.bodyEnd();
  const gone = new AbortController();
  const refuse = (answer: WholeAnswer): void => {
    recorder.answer(answer.status);
    refuseHandshake(socket, answer);
  };
  let accepted = false;
  socket.on("error", () => undefined);
  socket.once("close", () => {
    gone.abort();
    recorder.finish(accepted || recorder.call.status !== undefined ? "answered" : "left");
  });
  const exchange: Exchange = {
    platform,
    call,
    method: "GET",
    headers: toLines(request.rawHeaders),
    body: new Uint8Array(0),
    requestId: requestIdOf(call, platform),
    ...basesOf(request, platform),
    gone: gone.signal,
  };
  if (call.kind !== "realtime") return refuse(refusal(404, "Not Found"));
  const fault = platform.faults.take(call, "GET");
  if (fault !== undefined && !(await survive(fault, socket, refuse, gone.signal))) return;
  const app = platform.apps.find(call.endpoint, "realtime");
  const refused = refuseCaller(exchange);
  if (refused !== undefined && platform.settings.realtime.refusal === "handshake") return refuse(refused);
  if (refused === undefined && app === undefined) {
    return refuse(unknownApplication(call.app.slice(call.app.lastIndexOf("/") + 1)));
  }
  sockets.handleUpgrade(request, socket, handshake.head, (connection) => {
    accepted = true;
    recorder.answer(101);
    answerCloseWith1000(connection);
    connection.on("error", () => undefined);
    const isForbidden = refused?.status === 403 || platform.settings.realtime.refusal === "forbidden";
    if (refused === undefined && app !== undefined) serveRealtime(connection, app, exchange, fault?.session);
    else if (isForbidden) connection.close(1008, "Forbidden");
    else refuseToken(connection);
  });
}

/** Plays a fault on a handshake; false when that was the end of it. */
async function survive(
  fault: Fault,
  socket: Duplex,
  refuse: (answer: WholeAnswer) => void,
  gone: AbortSignal,
): Promise<boolean> {
  if (fault.delayMs !== undefined && !(await pause(fault.delayMs, gone))) return false;
  const instead = answerOf(fault);
  if (fault.drop === true) socket.destroy();
  else if (fault.garbage === true) socket.end(Buffer.from([0, 255, 13, 10, 254, 13, 10, 13, 10]));
  else if (instead !== undefined && instead.body instanceof Uint8Array) refuse({ ...instead, body: instead.body });
  else return true;
  return false;
}

/** A close frame without a code is echoed by `ws` as 1005, which fal-js reports as an error; fal answers 1000. */
function answerCloseWith1000(connection: WebSocket): void {
  const close = connection.close.bind(connection);
  connection.close = (code, reason) => close(code ?? 1000, reason);
}

function refuseHandshake(socket: Duplex, { status, headers, body }: WholeAnswer): void {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    `content-length: ${body.length}`,
    "connection: close",
  ];
  socket.end(Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`), body]));
}
