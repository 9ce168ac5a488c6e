import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { microtime } from "../payload.ts";
import { cpuOf } from "../processes.ts";
import { createAnswerReader } from "./answers.ts";
import { withConnections } from "./connection.ts";

/** One call and how its answer is judged. */
export interface Ask {
  readonly bytes: Buffer | string;
  /** Told every piece of the body; says what is wrong at the end, or undefined. */
  readonly judge: () => { piece(bytes: Buffer): void; verdict(status: number): string | undefined };
}

export interface Figures {
  readonly perSecond: number;
  readonly cpuMicros: number;
  readonly p50: number;
  readonly p99: number;
}

const warmUpMs = 300;
const patienceMs = 10_000;

/** Keeps every connection busy with one call after the other; rejects with the first answer that is wrong. */
export function runRequests(
  { url, pid }: { readonly url: string; readonly pid: number },
  connections: number,
  seconds: number,
  next: () => Ask,
): Promise<Figures> {
  return withConnections(url, connections, (sockets) => keepBusy(sockets, pid, seconds, next));
}

async function keepBusy(sockets: readonly Socket[], pid: number, seconds: number, next: () => Ask): Promise<Figures> {
  const delays: number[] = [];
  let problem: string | undefined;
  let stopped = false;
  const loops = sockets.map(
    (socket) =>
      new Promise<void>((resolve) => {
        let started = 0;
        let judge = next().judge();
        const send = (): void => {
          if (stopped || problem !== undefined) return resolve();
          const asked = next();
          judge = asked.judge();
          started = microtime();
          socket.write(asked.bytes as Buffer);
        };
        const read = createAnswerReader({
          body: (piece) => judge.piece(piece),
          end(status) {
            delays.push(microtime() - started);
            problem ??= judge.verdict(status);
            send();
          },
        });
        socket.on("data", read);
        socket.once("close", () => {
          if (!stopped) problem ??= "the connection was closed";
          resolve();
        });
        send();
      }),
  );
  await pause(warmUpMs);
  delays.length = 0;
  const [from, cpu] = [microtime(), cpuOf(pid)];
  await pause(seconds * 1000);
  while (delays.length === 0 && problem === undefined && microtime() - from < patienceMs * 1000) await pause(20);
  const [to, used, done] = [microtime(), cpuOf(pid) - cpu, delays.length];
  stopped = true;
  await Promise.race([Promise.all(loops), pause(patienceMs).then(() => (problem ??= "an answer never came"))]);
  if (problem !== undefined) throw new Error(problem);
  if (done === 0) throw new Error("nothing was answered");
  delays.length = done;
  delays.sort((a, b) => a - b);
  return {
    perSecond: (done * 1e6) / (to - from),
    cpuMicros: used / done,
    p50: delays[done >> 1] ?? 0,
    p99: delays[Math.floor(done * 0.99)] ?? 0,
  };
}

/** The answer must be this, with this status. */
export function expectBody(expected: string, status = 200): Ask["judge"] {
  return () => {
    let text = "";
    return {
      piece: (bytes) => void (text += bytes.toString("latin1")),
      verdict: (got) =>
        got === status && text === expected
          ? undefined
          : `status ${got}, body ${text.slice(0, 200)} in place of ${expected}`,
    };
  };
}
