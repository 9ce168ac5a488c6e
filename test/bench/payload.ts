import { createHash } from "node:crypto";

/** What load and upstream have agreed on, so that each can tell whether every byte came over as it was sent. */

export const key = "bench:0123456789abcdef";
export const megabyte: number = 1024 * 1024;

/** A submit's input: 1 KB of JSON, written as `JSON.stringify` writes it. */
export const submitBody: string = JSON.stringify({ prompt: "x".repeat(1009) });

const period = 65_521;
const stretch: Buffer = Buffer.alloc(2 * megabyte + period);
for (let at = 0; at < stretch.length; at += 1) stretch[at] = 32 + ((at % period) % 94);

/** A piece of an endless body that repeats itself so that no cut or doubling goes unseen. At most 2 MB. */
export function pieceAt(offset: number, length: number): Buffer {
  const from = offset % period;
  return stretch.subarray(from, from + length);
}

/** What a status poll is answered: 200 bytes while the id is fal's own. */
export function statusBody(requestId: string, state: "IN_PROGRESS" | "COMPLETED"): string {
  return pad({ status: state, request_id: requestId, logs: null }, 200 + requestId.length - idLength);
}

export function submitAnswer(requestId: string): string {
  return pad({ status: "IN_QUEUE", request_id: requestId, queue_position: 0 }, 200 + requestId.length - idLength);
}

const idLength = 36;

function pad(fields: object, length: number): string {
  const bare = JSON.stringify({ ...fields, pad: "" });
  return `${bare.slice(0, -2)}${"x".repeat(length - bare.length)}"}`;
}

/** An event of 200 bytes that tells when it was sent, in µs of the clock that all processes share. */
export function eventAt(micros: number): string {
  return `data: {"at":${String(micros).padStart(16, "0")},"text":"${"x".repeat(164)}"}\n\n`;
}

export const eventLength: number = eventAt(0).length;
const timeFrom = 'data: {"at":'.length;

export function timeOfEvent(event: string): number {
  return Number(event.slice(timeFrom, timeFrom + 16));
}

/** Microseconds of the clock that all processes of a machine share. */
export function microtime(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

export function acceptOf(websocketKey: string): string {
  return createHash("sha1").update(`${websocketKey}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** A binary frame of 1 KB from client to server: masked with zeros, which leaves the payload as it is (RFC 6455, section 5.3). */
export const messageUp: Buffer = Buffer.concat([Buffer.from([0x82, 0xfe, 4, 0, 0, 0, 0, 0]), pieceAt(0, 1024)]);
/** The same message from server to client. */
export const messageDown: Buffer = Buffer.concat([Buffer.from([0x82, 126, 4, 0]), pieceAt(0, 1024)]);
