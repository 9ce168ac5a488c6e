import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Answer, HeaderLine } from "./answer.ts";
import type { Fault } from "./faults.ts";

/** The faults that happen while a body is sent. */
type BodyFault = Pick<Fault, "cutAfterBytes" | "stallAfterBytes">;

/** What surrounds the sending of one answer. */
export interface SendOptions {
  readonly fault: BodyFault;
  /** Fires when the reader has left. */
  readonly gone: AbortSignal;
  /** Called before the emulator itself breaks the connection. */
  readonly broken: () => void;
}

const bodiless: readonly number[] = [204, 304];

/** Sends an answer at its reader's pace. A body that breaks off destroys the connection, so that the break is seen. */
export async function send(
  response: ServerResponse,
  answer: Answer,
  { fault, gone, broken }: SendOptions,
): Promise<void> {
  const { status, body } = answer;
  response.sendDate = false; // the answer carries the emulator's own date
  const sized = body instanceof Uint8Array && !bodiless.includes(status);
  const headers = sized ? withLength(answer.headers, body.length) : answer.headers;
  response.writeHead(status, headers.flat());
  const limit = Math.min(fault.cutAfterBytes ?? Infinity, fault.stallAfterBytes ?? Infinity);
  try {
    if (response.req.method === "HEAD") response.end();
    else if (limit < Infinity) await sendPart(response, body, limit, { fault, gone, broken });
    else if (body instanceof Uint8Array) response.end(body);
    else await sendPieces(response, body, gone);
  } catch {
    if (!gone.aborted) broken();
    response.destroy();
  }
}

async function sendPieces(response: ServerResponse, body: AsyncIterable<Uint8Array>, gone: AbortSignal): Promise<void> {
  response.flushHeaders();
  for await (const piece of untilGone(body, gone)) {
    if (piece.length > 0 && !response.write(piece)) await once(response, "drain", { signal: gone });
  }
  response.end();
}

async function sendPart(
  response: ServerResponse,
  body: Answer["body"],
  limit: number,
  options: SendOptions,
): Promise<void> {
  const { gone } = options;
  response.flushHeaders();
  let left = limit;
  for await (const piece of body instanceof Uint8Array ? inOne(body) : untilGone(body, gone)) {
    if (piece.length > left || left === 0) return breakOff(response, piece.subarray(0, left), options);
    left -= piece.length;
    if (!response.write(piece)) await once(response, "drain", { signal: gone });
  }
  response.end();
}

function breakOff(response: ServerResponse, last: Uint8Array, { fault, broken }: SendOptions): void {
  const { cutAfterBytes, stallAfterBytes } = fault;
  const cut = (cutAfterBytes ?? Infinity) <= (stallAfterBytes ?? Infinity);
  if (last.length > 0) response.write(last);
  if (!cut) return;
  broken();
  // an empty write calls back when everything before it has left this process
  setImmediate(() => response.socket?.write("", () => response.destroy()));
}

async function* inOne(body: Uint8Array): AsyncGenerator<Uint8Array> {
  yield body;
}

/** The pieces until the reader has left, even while the next one is still awaited. */
async function* untilGone(body: AsyncIterable<Uint8Array>, gone: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();
  let leave: () => void = () => undefined;
  const left = new Promise<undefined>((resolve) => {
    leave = () => resolve(undefined);
  });
  gone.addEventListener("abort", leave, { once: true });
  try {
    while (!gone.aborted) {
      const next = iterator.next();
      next.catch(() => undefined); // nobody waits for it any more once the reader has left
      const result = await Promise.race([next, left]);
      if (result === undefined || result.done === true) return;
      yield result.value;
    }
  } finally {
    gone.removeEventListener("abort", leave);
    iterator.return?.().catch(() => undefined);
  }
}

function withLength(headers: readonly HeaderLine[], length: number): readonly HeaderLine[] {
  if (headers.some(([name]) => name === "content-length" || name === "transfer-encoding")) return headers;
  return [...headers, ["content-length", String(length)]];
}
