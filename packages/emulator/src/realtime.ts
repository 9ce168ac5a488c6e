import type { WebSocket } from "ws";
import { invoke, type App } from "./app.ts";
import { createContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frames.ts";
import { parseFields, textOf } from "./fields.ts";

/** Messages taken in before the socket is asked to wait. */
const pendingLimit = 64;

/** One realtime session: every message is an input, answered in turn and in its own kind (fal docs, realtime). */
export function serveRealtime(socket: WebSocket, app: App, exchange: Exchange): void {
  const pending: Frame[] = [];
  const buffered = bufferLimit(exchange.call.query.get("max_buffering"));
  let working = false;
  const idle = setTimeout(() => void expire(socket), exchange.platform.settings.realtime.idleMs);
  socket.once("close", () => clearTimeout(idle));

  async function work(): Promise<void> {
    working = true;
    for (let frame = pending.shift(); frame !== undefined; frame = pending.shift()) {
      if (!(await answerFrame(socket, app, exchange, frame))) break;
      if (socket.isPaused && pending.length < pendingLimit / 2) socket.resume();
    }
    working = false;
  }

  socket.on("message", (data: Buffer, binary: boolean) => {
    idle.refresh();
    pending.push({ binary, data });
    if (pending.length > buffered) pending.shift();
    if (pending.length >= pendingLimit) socket.pause();
    if (!working) void work();
  });
}

/** Messages kept while one is worked on; the oldest goes first. 1 to 60 (fal-js 1.10.1, `maxBuffering`). */
function bufferLimit(given: string | null): number {
  const limit = Number(given);
  return given !== null && limit >= 1 && limit <= 60 ? limit : Infinity;
}

/** False when the session is over. */
async function answerFrame(socket: WebSocket, app: App, exchange: Exchange, frame: Frame): Promise<boolean> {
  const emit = (value: unknown): Promise<void> => deliver(socket, encodeFrame(value, frame.binary));
  const { requestId, gone } = exchange;
  try {
    const input = decodeFrame(frame);
    const { context } = createContext(exchange, { kind: "realtime", requestId, signal: gone, emit });
    const outcome = await invoke(app, input, context);
    if (outcome.kind === "answer") {
      const { body, status } = outcome.answer;
      const detail = body instanceof Uint8Array ? textOf(parseFields(body) ?? {}, "detail") : undefined;
      throw new Error(detail ?? `status ${status}`);
    }
    if (outcome.value !== undefined) await emit(outcome.value);
    return true;
  } catch (error) {
    await fail(socket, "INTERNAL_ERROR", error instanceof Error ? error.message : String(error));
    return false;
  }
}

/** Control frames are JSON text, whatever the app speaks (fal's app framework). */
async function fail(socket: WebSocket, error: string, reason: string): Promise<void> {
  await deliver(socket, JSON.stringify({ type: "x-fal-error", error, reason }));
  socket.close(1000);
}

function expire(socket: WebSocket): Promise<void> {
  return fail(socket, "TIMEOUT", "No inputs received, reconnect when needed!");
}

/** Resolves when the message has left, or when there is nobody to send it to. */
function deliver(socket: WebSocket, data: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => socket.send(data, () => resolve()));
}
