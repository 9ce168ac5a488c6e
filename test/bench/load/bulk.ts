import type { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type { Peer, Running } from "../peers.ts";
import { megabyte, pieceAt } from "../payload.ts";
import { forgetPeak, memoryOf } from "../processes.ts";
import { createAnswerReader } from "./answers.ts";
import { toHead } from "./asks.ts";
import { toDownload } from "./calls.ts";
import { drained, withConnections } from "./connection.ts";

const pauseMs = 2;

/** The rise of resident memory at its highest while 100 MB come down; a slow reader pauses after every piece. */
export async function weighDownload(peer: Peer, running: Running, megabytes: number, slow: boolean): Promise<number> {
  return weigh(running, async (socket) => {
    const { bytes, judge } = toDownload(peer, megabytes);
    const judged = judge();
    await new Promise<void>((resolve, reject) => {
      const end = (status: number): void => {
        const problem = judged.verdict(status);
        if (problem === undefined) resolve();
        else reject(new Error(problem));
      };
      const read = createAnswerReader({ body: (piece) => judged.piece(piece), end });
      socket.once("close", () => reject(new Error("the connection was closed")));
      socket.on("data", (chunk: Buffer) => {
        read(chunk);
        if (!slow) return;
        socket.pause();
        setTimeout(() => socket.resume(), pauseMs);
      });
      socket.write(bytes);
    });
  });
}

/** The same while 100 MB go up; a slow upstream pauses after every piece. */
export async function weighUpload(peer: Peer, running: Running, megabytes: number, slow: boolean): Promise<number> {
  const total = megabytes * megabyte;
  return weigh(running, async (socket) => {
    let text = "";
    const answered = new Promise<void>((resolve, reject) => {
      const end = (status: number): void => {
        if (status === 200 && text === String(total)) resolve();
        else reject(new Error(`status ${status}, ${text.slice(0, 200)}`));
      };
      socket.on("data", createAnswerReader({ body: (piece) => void (text += piece.toString("latin1")), end }));
      socket.once("close", () => reject(new Error("the connection was closed")));
    });
    answered.catch(() => socket.destroy());
    socket.write(toHead(peer, "POST", `fal.run/fal-ai/bulk/${slow ? "up-slow" : "up"}`, total));
    for (let sent = 0; sent < total && !socket.destroyed; sent += megabyte / 4) {
      if (!socket.write(pieceAt(sent, megabyte / 4))) await drained(socket);
    }
    await answered;
  });
}

async function weigh(running: Running, work: (socket: Socket) => Promise<void>): Promise<number> {
  await running.collect("garbage");
  await pause(200);
  const { now } = memoryOf(running.pid);
  forgetPeak(running.pid);
  await withConnections(running.url, 1, async ([socket]) => (socket === undefined ? undefined : work(socket)));
  return memoryOf(running.pid).peak - now;
}
