import type { WebSocket } from "ws";

/** What goes wrong within a real-time session. The handshake is answered as usual. */
export interface SessionFault {
  /** After how many results; right at the start by default. */
  readonly afterResults?: number;
  /**
   * `unauthorized`: that message, then close 1008. `forbidden`: close 1008. `timeout`, `internal-error`: the control frame, then close
   * 1000. `unreadable`: a binary frame that is no MessagePack. `stall`: no results any more. `drop`: the connection is gone without a
   * close frame (1006 to the client). `close`: a close frame with `code` and `reason`.
   */
  readonly happens:
    | "unauthorized"
    | "forbidden"
    | "timeout"
    | "internal-error"
    | "unreadable"
    | "stall"
    | "drop"
    | "close";
  /** Of the close frame: 1011 by default. */
  readonly code?: number;
  readonly reason?: string;
}

export const sessionFaults: readonly string[] = [
  "unauthorized",
  "forbidden",
  "timeout",
  "internal-error",
  "unreadable",
  "stall",
  "drop",
  "close",
] satisfies SessionFault["happens"][];

/** Plays it; false when the session goes on. */
export function befall(socket: WebSocket, { happens, code, reason }: SessionFault): boolean {
  switch (happens) {
    case "unauthorized":
      refuseToken(socket);
      return true;
    case "forbidden":
      socket.close(1008, "Forbidden");
      return true;
    case "timeout":
      expire(socket);
      return true;
    case "internal-error":
      failSession(socket, "INTERNAL_ERROR", "Emulated fault");
      return true;
    case "unreadable":
      socket.send(Buffer.from([0xc1])); // the one byte that MessagePack never uses
      return false;
    case "stall":
      return true;
    case "drop":
      socket.terminate();
      return true;
    case "close":
      socket.close(code ?? 1011, reason ?? "");
      return true;
  }
}

/** What a bad token meets once the socket is open; fal-js knows the message and drops its token (fal-js 1.10.1). */
export function refuseToken(socket: WebSocket): void {
  socket.send(JSON.stringify({ status: "error", error: "Unauthorized" }));
  socket.close(1008, "Unauthorized");
}

/** No input came for too long (fal's app framework). */
export function expire(socket: WebSocket): void {
  failSession(socket, "TIMEOUT", "No inputs received, reconnect when needed!");
}

/** Control frames are JSON text, whatever the app speaks (fal's app framework). */
export function failSession(socket: WebSocket, error: string, reason: string): void {
  socket.send(JSON.stringify({ type: "x-fal-error", error, reason }), () => undefined);
  socket.close(1000);
}
