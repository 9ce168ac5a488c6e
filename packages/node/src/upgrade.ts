import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type Door, type Head, isPathForm } from "@keyway/core";
import { pathOf } from "./attach.ts";
import { dial } from "./dial.ts";
import { isGone, keepEarly } from "./early.ts";
import { handshakeProblem } from "./handshake.ts";
import { toHead } from "./head.ts";
import type { Runtime } from "./runtime.ts";
import { toRefusal, writeAnswer } from "./raw-answer.ts";
import { leaveToOthers, take } from "./unclaimed.ts";

/** Answers one `upgrade` event. Never rejects; leaves what is not addressed to the proxy to other listeners. */
export async function handleUpgrade(
  req: IncomingMessage,
  socket: Duplex,
  first: Buffer,
  mount: string | undefined,
  runtime: Runtime,
): Promise<void> {
  const { server } = req.socket as { server?: { listenerCount?(event: string): number } };
  if (mount === undefined && !isAddressed(req, runtime)) {
    const others = (server?.listenerCount?.("upgrade") ?? 1) - 1;
    return leaveToOthers(req, socket, others, runtime.keyway.transport.timeouts.handshake);
  }
  if (!take(req)) return;
  const head = toHead(req, mount, true);
  socket.on("error", () => socket.destroy());
  const problem = handshakeProblem(head, req);
  if (problem !== undefined) return writeAnswer(socket, toRefusal(problem));
  const early = keepEarly(socket, first);
  runtime.deciding += 1;
  const decided = await runtime.keyway.plan(createDoor(head, socket, runtime));
  runtime.deciding -= 1;
  if (decided.type === "exchange") return dial({ exchange: decided, head, caller: socket, early, server, runtime });
  early.take();
  socket.resume();
  writeAnswer(socket, decided);
}

/** Whether an upgrade, which no router sees, is addressed to this proxy: below its public path, or in path form. */
export function isAddressed(req: IncomingMessage, { keyway }: Pick<Runtime, "keyway">): boolean {
  const { publicPath } = keyway.transport;
  const path = pathOf(req);
  return isPathForm(path, publicPath) || (Boolean(publicPath) && path.startsWith(`${publicPath}/`));
}

function createDoor(head: Head, socket: Duplex, runtime: Runtime): Door {
  return {
    head,
    native: undefined,
    codings: "pass",
    closing: runtime.closing,
    body: async () => new Uint8Array(0),
    isGone: () => isGone(socket),
    waitUntil: runtime.waitUntil,
  };
}
