import type { WebSocket } from "ws";
import { invoke, type App } from "./app.ts";
import { createContext } from "./context.ts";
import type { Exchange } from "./exchange.ts";
import { parseFields, textOf } from "./fields.ts";
import { decodeFrame, encodeFrame, type Frame } from "./frames.ts";
import { befall, expire, failSession, type SessionFault } from "./session-fault.ts";

/** Messages taken in before the socket is asked to wait. */
const pendingLimit = 64;

/** One real-time session: every message is an input, answered in turn and in its own kind (fal docs, realtime). */
export function serveRealtime(socket: WebSocket, app: App, exchange: Exchange, fault?: SessionFault): void {
  const { realtime } = exchange.platform.settings;
  const pending: Frame[] = [];
  const buffered = bufferLimit(exchange.call.query.get("max_buffering"));
  let working = false;
  let results = 0;
  const idle = setTimeout(() => (working ? idle.refresh() : expire(socket)), realtime.idleMs);
  socket.once("close", () => clearTimeout(idle));

  /** True when the session is over. */
  const suffer = (): boolean => fault !== undefined && (fault.afterResults ?? 0) === results && befall(socket, fault);

  async function work(): Promise<void> {
    working = true;
    for (let frame = pending.shift(); frame !== undefined; frame = pending.shift()) {
      if (!(await answerFrame(socket, app, exchange, frame))) return;
      results += 1;
      if (suffer()) return;
      if (socket.isPaused && pending.length < pendingLimit / 2) socket.resume();
    }
    working = false;
    idle.refresh();
  }

  working = suffer();
  if (working) return;
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
  const { requestId, gone, platform } = exchange;
  const began = platform.clock.now();
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
    if (platform.settings.realtime.timings) await deliver(socket, toTimings(platform.clock.now() - began));
    return true;
  } catch (error) {
    failSession(socket, "INTERNAL_ERROR", error instanceof Error ? error.message : String(error));
    return false;
  }
}

/** How long the app took, for who asked to see it (fal's app framework); fal-js drops it. */
function toTimings(ms: number): string {
  return JSON.stringify({ type: "x-fal-message", action: "timings", timing: ms / 1000 });
}

/** Resolves when the message has left, or when there is nobody to send it to. */
function deliver(socket: WebSocket, data: Uint8Array | string): Promise<void> {
  return new Promise((resolve) => socket.send(data, () => resolve()));
}
