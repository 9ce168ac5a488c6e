import {
  type AnswerHead,
  type CollectedAnswer,
  type Exchange,
  type HeaderList,
  isPending,
  valueOf,
} from "@keyway/core";
import type { Dispatcher } from "undici";
import { endWithText, isOpen, sendAnswer, smallAnswer, writeHead, writePiece } from "./answer.ts";
import type { Run } from "./run.ts";

/** Upstream's connection is closed, because its answer's body is not wanted. Made once: an error takes a trace of the stack. */
const answeredHere = new Error("answered by the proxy");

/** Upstream's head is there, and the exchange has said what becomes of it and its body. */
export function onHead(run: Run, answer: AnswerHead, headers: HeaderList): void {
  const { res, exchange } = run;
  const { body } = answer;
  run.answer = answer;
  run.status = answer.status;
  if (body instanceof Uint8Array) {
    sendAnswer(res, { type: "answer", status: answer.status, headers: answer.headers, body });
    run.bytesOut = body.length;
    // First, because aborting tells of an error at once, and whoever is told of one before the end breaks off the answer.
    run.finish("complete");
    run.controller?.abort(answeredHere);
    return;
  }
  if (typeof body === "object" && "collect" in body) return;
  if (typeof body === "object") run.rewriter = body;
  if (exchange.meter !== undefined) startMeter(run, exchange.meter);
  const length = body === "none" ? undefined : Number(valueOf(headers, "content-length"));
  if (!answer.flush && length !== undefined && length <= smallAnswer) run.awaited = length;
  else startAnswer(run, answer);
}

/** The head, before a body that comes in pieces; in one write with what was read together with it. */
function startAnswer(run: Run, { status, headers, flush }: AnswerHead): void {
  if (!isOpen(run.res)) return;
  writeHead(run.res, status, headers);
  if (flush) process.nextTick(flushHead, run);
}

/** In case nothing was read with the head: it waits for no event. */
function flushHead({ res, bytesOut }: Run): void {
  if (bytesOut === 0 && isOpen(res)) res.flushHeaders();
}

/** A piece of upstream's body. A caller who does not take it holds upstream back, and is cut off when he takes nothing for long. */
export function onData(run: Run, controller: Dispatcher.DispatchController, chunk: Buffer): void {
  const { answer, res } = run;
  if (answer === undefined || run.ended) return;
  if (typeof answer.body === "object" && "collect" in answer.body) {
    run.collected.push(chunk);
    run.collectedBytes += chunk.length;
    if (run.collectedBytes > answer.body.collect)
      controller.abort(new Error(`the answer is larger than ${answer.body.collect} bytes`));
    return;
  }
  if (answer.body === "none") return;
  if (run.awaited !== undefined) {
    if (run.awaited === chunk.length) return void (run.whole = chunk);
    run.awaited = undefined;
    startAnswer(run, answer);
  }
  if (!isOpen(res)) return;
  const bytes = run.rewriter === undefined ? chunk : run.rewriter.push(chunk);
  if (bytes.length === 0) return;
  run.bytesOut += bytes.length;
  if (writePiece(res, bytes)) return;
  controller.pause();
  const { idle } = run.exchange.up.timeouts;
  run.stall = setTimeout(() => run.breakOff("cut"), idle);
  if (run.awaitsDrain) return;
  run.awaitsDrain = true;
  res.on("drain", () => onDrain(run));
}

/** The caller took what was written. */
function onDrain(run: Run): void {
  if (run.stall === undefined) return;
  clearTimeout(run.stall);
  run.stall = undefined;
  run.controller?.resume();
}

/** Upstream's answer is complete. */
export function onEnd(run: Run): void {
  const { answer, res } = run;
  if (answer === undefined || run.ended) return;
  if (typeof answer.body === "object" && "collect" in answer.body) return onCollected(run);
  if (run.awaited !== undefined) sendWhole(run, answer);
  else {
    const rest = run.rewriter?.end();
    run.bytesOut += rest?.length ?? 0;
    if (isOpen(res)) {
      if (rest !== undefined && rest.length > 0) res.end(rest);
      else res.end();
    }
  }
  run.finish("complete");
}

/** A small body that has come in one piece goes out with its head, and with the length that it has when it was rewritten. */
function sendWhole(run: Run, { status, headers }: AnswerHead): void {
  const { res, rewriter, whole } = run;
  const given = whole?.toString("latin1") ?? "";
  const text = rewriter === undefined ? given : rewriter.whole(given);
  run.bytesOut += text.length;
  if (!isOpen(res)) return;
  const sized = valueOf(headers, "content-length") !== undefined;
  writeHead(res, status, sized ? headers : [...headers, ["content-length", String(text.length)]]);
  endWithText(res, text);
}

function onCollected(run: Run): void {
  const { exchange, collected: parts } = run;
  const [only] = parts;
  const collected = exchange.collected(parts.length === 1 && only !== undefined ? only : Buffer.concat(parts));
  if (!isPending(collected)) return sendCollected(run, collected);
  collected.then(
    (answer) => sendCollected(run, answer),
    (error: unknown) => run.fail("unanswered", error),
  );
}

function sendCollected(run: Run, collected: CollectedAnswer): void {
  const { status, headers, body } = collected;
  run.bytesOut = body.length;
  run.status = status;
  sendAnswer(run.res, { type: "answer", status, headers, body });
  run.finish("complete");
}

function startMeter(run: Run, meter: NonNullable<Exchange["meter"]>): void {
  run.meter = setInterval(() => {
    meter.tick().then(
      (answer) => {
        if (answer === "stop") run.breakOff("stopped");
      },
      () => run.breakOff("stopped"),
    );
  }, meter.everyMs);
}
