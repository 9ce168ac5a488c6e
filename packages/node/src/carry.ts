import type { IncomingMessage, ServerResponse } from "node:http";
import { type Exchange, closingRefusal } from "@keyway/core";
import { type GivenBody, bodyConsumed, collectBody, smallBody, streamBody } from "./request-body.ts";
import { type Body, Run } from "./run.ts";
import type { Runtime } from "./runtime.ts";

/** Carries an exchange out. Resolves when it is over, whichever way. */
export function carryOut(
  exchange: Exchange,
  req: IncomingMessage,
  res: ServerResponse,
  given: GivenBody | undefined,
  runtime: Runtime,
): Promise<void> {
  return new Promise((resolve) => {
    const run = new Run(exchange, req, res, runtime, resolve);
    runtime.open.add(run);
    res.on("close", () => onCallerClose(run));
    if (res.socket === null) followSocket(run);
    if (res.closed || res.destroyed) onCallerClose(run);
    if (runtime.closed) return run.fail("unsent", closingRefusal());
    try {
      const body = readBody(run, given);
      if (!(body instanceof Promise)) return run.dispatch(body);
      body.then(
        (bytes) => run.dispatch(count(run, bytes)),
        (error: unknown) => run.fail("unsent", error),
      );
    } catch (error) {
      run.fail("unsent", error);
    }
  });
}

function readBody(run: Run, given: GivenBody | undefined): Body | Promise<Uint8Array> {
  const { up } = run.exchange;
  if (up.body !== "stream") return count(run, up.body);
  if (given instanceof Uint8Array) return count(run, given);
  if (given !== undefined) throw bodyConsumed(given.lost);
  const { "content-length": length, "transfer-encoding": coding } = run.req.headers;
  const limits = { maxBytes: up.maxBodyBytes, stallMs: up.timeouts.body };
  if (coding === undefined && (length === undefined || length === "0")) return null;
  if (coding === undefined && Number(length) <= smallBody) return collectBody(run.req, limits);
  run.upload = streamBody(run.req, limits, (bytes) => {
    run.bytesIn += bytes;
  });
  return run.upload;
}

function count<T extends Uint8Array | null>(run: Run, body: T): T {
  run.bytesIn += body?.length ?? 0;
  return body;
}

/** An answer that waits for an earlier one on the same connection has no socket yet, and before Node 24 is not told that it closes. */
function followSocket(run: Run): void {
  const { socket } = run.req;
  const onClose = (): void => onCallerClose(run);
  socket.on("close", onClose);
  run.res.on("close", () => socket.off("close", onClose));
}

/**
 * The caller left, or somebody else has ended his answer: submit and cancel go on, because their effect must be known; everything else stops
 * at once.
 */
function onCallerClose(run: Run): void {
  if (run.ended) return;
  if (run.exchange.whenCallerLeaves === "abort") return run.breakOff("left");
  run.exchange.callerLeft();
  run.finishing ??= setTimeout(() => run.breakOff("left"), run.exchange.finishWithin);
}
