import type { Duplex } from "node:stream";

/** What a caller sends before upstream has agreed: kept in order, and beyond a bound left to back-pressure. */
export interface Early {
  /** Everything so far; from now on the socket is the tunnel's. */
  take(): Buffer;
  /** Told once when that happens. */
  onGone: (() => void) | undefined;
}

/** A socket that nobody reads does not tell that its peer has left, so it is read from the start. */
export function keepEarly(socket: Duplex, head: Buffer): Early {
  const kept: Buffer[] = head.length === 0 ? [] : [head];
  let bytes = head.length;
  const onData = (chunk: Buffer): void => {
    kept.push(chunk);
    bytes += chunk.length;
    if (bytes >= mostKept) socket.pause();
  };
  const leave = (): void => {
    const { onGone } = early;
    early.onGone = undefined;
    onGone?.();
  };
  const early: Early = {
    onGone: undefined,
    take() {
      socket.pause();
      socket.off("data", onData).off("end", leave).off("close", leave);
      return kept.length === 1 && kept[0] !== undefined ? kept[0] : Buffer.concat(kept);
    },
  };
  socket.on("data", onData).on("end", leave).on("close", leave);
  return early;
}

/** True when the caller has ended or broken the connection. */
export function isGone(socket: Duplex): boolean {
  return socket.destroyed || socket.readableEnded;
}

const mostKept = 1024 * 1024;
