import type { Socket } from "node:net";
import type { Peer, Running } from "../peers.ts";
import { megabyte, pieceAt, statusBody, submitAnswer, submitBody } from "../payload.ts";
import { createAnswerReader } from "./answers.ts";
import { toHead } from "./asks.ts";
import { withConnections } from "./connection.ts";
import { type Ask, expectBody } from "./requests.ts";

const jobs = 5000;

/** Submits 5,000 jobs and answers their status polls: 5,000 URLs, with the ids that the peer gave out. */
export async function preparePolls(peer: Peer, running: Running): Promise<readonly Ask[]> {
  const ids = peer.ours ? await submitMany(peer, running, "fal-ai/flux/dev", jobs) : plainIds;
  return ids.map((id) => toPoll(peer, "fal-ai/flux", id, "IN_PROGRESS"));
}

const plainIds = Array.from({ length: jobs }, (_, at) => `019e161b-386c-7d33-8e2f-${String(at).padStart(12, "0")}`);

function toPoll(peer: Peer, app: string, id: string, state: "IN_PROGRESS" | "COMPLETED"): Ask {
  const target = `queue.fal.run/${app}/requests/${id}/status?logs=0`;
  return { bytes: Buffer.from(toHead(peer, "GET", target)), judge: expectBody(statusBody(id, state)) };
}

/** A submit of 1 KB; whoever wants to know is told the job's id. */
export function toSubmit(peer: Peer, endpoint: string, told: (id: string) => void): Ask {
  const bytes = Buffer.from(toHead(peer, "POST", `queue.fal.run/${endpoint}`, submitBody.length) + submitBody);
  return {
    bytes,
    judge() {
      let text = "";
      return {
        piece: (piece) => void (text += piece.toString("latin1")),
        verdict(status) {
          const id = /"request_id":"([^"]+)"/.exec(text)?.[1] ?? "";
          told(id);
          return status === 200 && text === submitAnswer(id)
            ? undefined
            : `status ${status}, body ${text.slice(0, 200)}`;
        },
      };
    },
  };
}

/** Polls jobs that are over, so that no job stays open in the store. */
export async function finishJobs(peer: Peer, running: Running, ids: readonly string[]): Promise<void> {
  await callAll(
    running,
    ids.map((id) => toPoll(peer, "fal-ai/quick", id, "COMPLETED")),
  );
}

async function submitMany(peer: Peer, running: Running, endpoint: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  const submit = toSubmit(peer, endpoint, (id) => ids.push(id));
  await callAll(
    running,
    Array.from({ length: count }, () => submit),
  );
  return ids;
}

/** Makes every call once, over 16 connections. */
function callAll({ url }: Running, asks: readonly Ask[]): Promise<void> {
  const left = asks.values();
  return withConnections(url, 16, async (sockets) => {
    await Promise.all(sockets.map((socket) => callInTurn(socket, left)));
  });
}

/** Makes one call after the other on a connection until none is left. */
function callInTurn(socket: Socket, left: Iterator<Ask>): Promise<void> {
  return new Promise((resolve, reject) => {
    let judge: ReturnType<Ask["judge"]> | undefined;
    const send = (): void => {
      const next = left.next();
      if (next.done === true) return resolve();
      judge = next.value.judge();
      socket.write(next.value.bytes);
    };
    const read = createAnswerReader({
      body: (piece) => judge?.piece(piece),
      end(status) {
        const problem = judge?.verdict(status);
        if (problem === undefined) send();
        else reject(new Error(problem));
      },
    });
    socket.on("data", read).once("close", () => reject(new Error("the connection was closed")));
    send();
  });
}

/** An answer of so many MB to a small call. */
export function toDownload(peer: Peer, megabytes: number): Ask {
  const bytes = Buffer.from(`${toHead(peer, "POST", `fal.run/fal-ai/bulk/down/${megabytes}`, 2)}{}`);
  return {
    bytes,
    judge() {
      let total = 0;
      let intact = true;
      return {
        piece(piece) {
          intact &&= piece.equals(pieceAt(total, piece.length));
          total += piece.length;
        },
        verdict: (status) =>
          status === 200 && intact && total === megabytes * megabyte
            ? undefined
            : `status ${status}, ${total} bytes, intact: ${intact}`,
      };
    },
  };
}
