import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Peer, Running } from "../peers.ts";
import { acceptOf, messageDown, messageUp, microtime } from "../payload.ts";
import { cpuOf, memoryOf } from "../processes.ts";
import { createAnswerReader } from "./answers.ts";
import { toHandshake, toHead } from "./asks.ts";
import { withConnections } from "./connection.ts";

const accept = acceptOf("dGhlIHNhbXBsZSBub25jZQ==");

/** Opens a WebSocket; resolves when it has its 101. */
function shake(peer: Peer, socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let held = "";
    const read = (chunk: Buffer): void => {
      held += chunk.toString("latin1");
      if (!held.includes("\r\n\r\n")) return;
      socket.off("data", read);
      if (held.startsWith("HTTP/1.1 101") && held.includes(accept)) resolve();
      else reject(new Error(held.slice(0, 300)));
    };
    socket.on("data", read).once("close", () => reject(new Error("a handshake was cut")));
    socket.write(toHandshake(peer, "fal.run/fal-ai/lcm/realtime"));
  });
}

/** Messages of 1 KB echoed, one at a time on every connection. */
export function runSockets(
  peer: Peer,
  running: Running,
  connections: number,
  seconds: number,
): Promise<{ perSecond: number; cpuMicros: number }> {
  return withConnections(
    running.url,
    connections,
    (sockets) => echo(sockets, running.pid, seconds),
    (socket) => shake(peer, socket),
  );
}

async function echo(
  sockets: readonly Socket[],
  pid: number,
  seconds: number,
): Promise<{ perSecond: number; cpuMicros: number }> {
  let done = 0;
  let problem: string | undefined;
  for (const socket of sockets) {
    let held: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      if (held.length < messageDown.length) return;
      if (!held.equals(messageDown)) problem ??= "a message came back changed";
      held = held.subarray(0, 0);
      done += 1;
      socket.write(messageUp);
    });
    socket.write(messageUp);
  }
  await pause(300);
  const [before, from, cpu] = [done, microtime(), cpuOf(pid)];
  await pause(seconds * 1000);
  const [count, to, used] = [done - before, microtime(), cpuOf(pid) - cpu];
  if (problem !== undefined || count === 0) throw new Error(problem ?? "no message came back");
  return { perSecond: (count * 1e6) / (to - from), cpuMicros: used / count };
}

/**
 * What one more quiet connection costs, from the first count to the second; bytes of resident memory. Connections that came and went
 * before let the process take the room that it takes once, whoever calls.
 */
export async function weighIdle(
  kind: "idle sockets" | "idle events",
  peer: Peer,
  running: Running,
  [few, many]: readonly [number, number],
): Promise<number> {
  const open = <T>(count: number, work: (sockets: readonly Socket[]) => Promise<T>): Promise<T> =>
    withConnections(running.url, count, work, (socket) =>
      kind === "idle sockets" ? shake(peer, socket) : beginStream(peer, socket),
    );
  for (let burst = 0; burst < 2; burst += 1) {
    await open(few, () => Promise.resolve());
    await settle(running);
  }
  return open(few, async () => {
    const before = await settle(running);
    return open(many - few, async (rest) => ((await settle(running)) - before) / rest.length);
  });
}

async function settle(running: Running): Promise<number> {
  await pause(300);
  await running.collect("all");
  await pause(700);
  await running.collect("all");
  return memoryOf(running.pid).now;
}

/** Opens an event stream; resolves when it has its first event. */
function beginStream(peer: Peer, socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (status: number): void => reject(new Error(`a stream ended with status ${status}`));
    socket.on("data", createAnswerReader({ body: () => resolve(), end }));
    socket.once("close", () => reject(new Error("a stream was cut")));
    socket.write(`${toHead(peer, "POST", "fal.run/fal-ai/idle/stream", 2)}{}`);
  });
}
