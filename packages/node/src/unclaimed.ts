import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { ProxyError } from "@keyway/core";
import { toRefusal, writeAnswer } from "./raw-answer.ts";

/** Upgrades that some proxy has taken, so that mounting twice answers once. */
const taken = new WeakSet<IncomingMessage>();
/** Upgrades that were left to others and are looked after. */
const left = new WeakSet<IncomingMessage>();

/** Takes an upgrade; false when it is taken already. */
export function take(req: IncomingMessage): boolean {
  if (taken.has(req)) return false;
  taken.add(req);
  return true;
}

/**
 * An upgrade that is not the proxy's. Nobody else listens: it is refused. Others do: it is theirs, and refused only when none of them has
 * written a byte in `patience` milliseconds, as Vite and Next leave paths unanswered that they do not know.
 */
export function leaveToOthers(req: IncomingMessage, socket: Duplex, others: number, patience: number): void {
  if (left.has(req) || taken.has(req)) return;
  left.add(req);
  // Node takes its own listener off before an upgrade, and those who pass it over add none: a reset would end the process.
  socket.on("error", () => socket.destroy());
  if (others === 0) return refuse(req, socket);
  const before = writtenTo(socket);
  const timer = setTimeout(() => {
    if (before !== undefined && writtenTo(socket) === before) refuse(req, socket);
  }, patience).unref();
  socket.once("close", () => clearTimeout(timer));
}

function refuse(req: IncomingMessage, socket: Duplex): void {
  if (take(req)) writeAnswer(socket, toRefusal(new ProxyError("route_not_found")));
}

function writtenTo(socket: Duplex): number | undefined {
  const { bytesWritten } = socket as { bytesWritten?: number };
  return bytesWritten;
}
