import type { ChildProcess } from "node:child_process";
import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Peer, Running } from "../peers.ts";
import { eventLength, microtime, timeOfEvent } from "../payload.ts";
import { ask, cpuOf } from "../processes.ts";
import { createAnswerReader } from "./answers.ts";
import { toHead } from "./asks.ts";
import { withConnections } from "./connection.ts";

export interface EventFigures {
  readonly delayP50: number;
  readonly cpuMicros: number;
  readonly firstP99: number;
  /** From the caller's leaving until upstream's connection was closed, the longest; ms. */
  readonly closedWithin: number;
}

const leavers = 20;
const patience = 3000;

/** Opens streams all at once, listens to 20 events a second on each, and leaves. */
export function runEvents(
  peer: Peer,
  running: Running,
  upstream: ChildProcess,
  streams: number,
  seconds: number,
): Promise<EventFigures> {
  return withConnections(running.url, streams, (sockets) => listen(sockets, peer, running, upstream, seconds));
}

async function listen(
  sockets: readonly Socket[],
  peer: Peer,
  { pid }: Running,
  upstream: ChildProcess,
  seconds: number,
): Promise<EventFigures> {
  const request = `${toHead(peer, "POST", "fal.run/fal-ai/chat/stream", 2)}{}`;
  const first: number[] = [];
  let delays: number[] = [];
  let problem: string | undefined;
  let left = false;
  for (const socket of sockets) {
    let held = "";
    let seen = 0;
    const started = microtime();
    const read = createAnswerReader({
      body(piece) {
        held += piece.toString("latin1");
        for (; held.length >= eventLength; held = held.slice(eventLength)) {
          const now = microtime();
          if (!held.startsWith("data: {") || !held.slice(0, eventLength).endsWith('"}\n\n'))
            problem ??= `not an event: ${held.slice(0, 60)}`;
          delays.push(now - timeOfEvent(held));
          if ((seen += 1) === 1) first.push(now - started);
        }
      },
      end: (status) => (problem ??= `a stream ended with status ${status}`),
    });
    socket.on("data", read);
    socket.once("close", () => left || (problem ??= "a stream was cut"));
    socket.write(request);
  }
  for (let waited = 0; first.length < sockets.length && problem === undefined; waited += 20) {
    if (waited > 20_000) throw new Error(`${sockets.length - first.length} streams never began`);
    await pause(20);
  }
  await pause(200);
  await ask(upstream, "closes");
  delays = [];
  const cpu = cpuOf(pid);
  await pause(seconds * 1000);
  const used = cpuOf(pid) - cpu;
  const counted = delays.sort((a, b) => a - b);
  if (counted.length === 0) problem ??= "no event came";
  const closedWithin = await leave(sockets.slice(0, leavers), upstream, () => (left = true));
  if (problem !== undefined) throw new Error(problem);
  first.sort((a, b) => a - b);
  return {
    delayP50: counted[counted.length >> 1] ?? Number.NaN,
    cpuMicros: used / counted.length,
    firstP99: (first[Math.floor(first.length * 0.99)] ?? Number.NaN) / 1000,
    closedWithin,
  };
}

async function leave(
  sockets: readonly { destroy(): unknown }[],
  upstream: ChildProcess,
  tell: () => void,
): Promise<number> {
  tell();
  const at = microtime();
  for (const socket of sockets) socket.destroy();
  const closes: number[] = [];
  for (let waited = 0; closes.length < sockets.length && waited < patience; waited += 50) {
    await pause(50);
    closes.push(...(await ask<{ closes: number[] }>(upstream, "closes")).closes);
  }
  return closes.length < sockets.length ? Number.POSITIVE_INFINITY : (Math.max(...closes) - at) / 1000;
}
