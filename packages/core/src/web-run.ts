import type { AnswerHead, Ending, Exchange } from "./seam.ts";
import type { Sender } from "./sender.ts";

/** One exchange of the web transport under way: what was counted, and the switch that ends it. */
export interface Run {
  readonly exchange: Exchange;
  readonly sender: Sender;
  /** Breaks off whatever is under way; the reason says who wanted it. */
  readonly abort: AbortController;
  bytesIn: number;
  bytesOut: number;
  status: number | undefined;
  /** The caller's body has not all come yet. */
  incomplete: boolean;
  /** Stops following the caller; undefined once the exchange has ended. */
  release: (() => void) | undefined;
}

/** Why an exchange was broken off from our side. */
export const callerLeft: Error = new Error("the caller left");
const meterStopped = new Error("the caller may no longer call");

/** Starts to follow the caller: when he leaves, upstream is closed, at once or after the time that a submit or cancel is given. */
export function createRun(exchange: Exchange, sender: Sender, caller: AbortSignal): Run {
  const abort = new AbortController();
  let patience: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => {
    if (exchange.whenCallerLeaves === "abort") abort.abort(callerLeft);
    else {
      exchange.callerLeft();
      patience = setTimeout(() => abort.abort(callerLeft), exchange.finishWithin);
    }
  };
  const release = (): void => {
    clearTimeout(patience);
    caller.removeEventListener("abort", leave);
  };
  if (caller.aborted) leave();
  else caller.addEventListener("abort", leave);
  return { exchange, sender, abort, bytesIn: 0, bytesOut: 0, status: undefined, incomplete: false, release };
}

/** The one end of every exchange; what comes later counts for nothing. */
export function finish(run: Run, ending: Ending): void {
  if (run.release === undefined) return;
  run.release();
  run.release = undefined;
  const { exchange, bytesIn, bytesOut, status, incomplete } = run;
  exchange.end(ending, { bytesIn, bytesOut, status, incomplete });
}

/** Pulls upstream's body as the caller takes it, ends it visibly broken when upstream breaks, and stops it when the caller leaves. */
export function passThrough(
  run: Run,
  source: ReadableStream<Uint8Array>,
  { body, flush }: AnswerHead,
  caller: AbortSignal,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const rewriter = typeof body === "object" && "push" in body ? body : undefined;
  const { moved, over } = watchBody(run, caller);
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // Next and SvelteKit send the head with the first piece of the body, and an empty piece is one.
        if (flush) controller.enqueue(new Uint8Array(0));
      },
      async pull(controller) {
        try {
          for (;;) {
            moved();
            const { done, value } = await reader.read();
            moved();
            const bytes = done ? rewriter?.end() : rewriter === undefined ? value : rewriter.push(value);
            run.bytesOut += bytes?.length ?? 0;
            if (bytes !== undefined && bytes.length > 0) controller.enqueue(bytes);
            if (done) {
              over("complete");
              controller.close();
              return;
            }
            if (bytes !== undefined && bytes.length > 0) return;
          }
        } catch (error) {
          over(endingOf(run.abort.signal));
          controller.error(error);
        }
      },
      cancel: () => run.abort.abort(callerLeft),
    },
    { highWaterMark: 0 },
  );
}

/** Whatever ends a body from our side goes through the abort signal: the caller, the meter, silence of upstream or caller. */
function watchBody(run: Run, caller: AbortSignal): { moved: () => void; over: (ending: Ending) => void } {
  const { signal } = run.abort;
  const stopMeter = startMeter(run);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => run.abort.abort(callerLeft);
  const stopped = (): void => over(endingOf(signal));
  const over = (ending: Ending): void => {
    clearTimeout(timer);
    stopMeter();
    caller.removeEventListener("abort", leave);
    signal.removeEventListener("abort", stopped);
    finish(run, ending);
  };
  const moved = (): void => {
    clearTimeout(timer);
    if (run.release === undefined) return;
    const silent = (): void => run.abort.abort(new DOMException("nothing moved for too long", "TimeoutError"));
    timer = setTimeout(silent, run.exchange.up.timeouts.idle);
  };
  signal.addEventListener("abort", stopped);
  caller.addEventListener("abort", leave);
  moved();
  if (caller.aborted) leave();
  return { moved, over };
}

function endingOf({ reason }: AbortSignal): Ending {
  if (reason === callerLeft) return "left";
  return reason === meterStopped ? "stopped" : "cut";
}

function startMeter({ exchange, abort }: Run): () => void {
  const { meter } = exchange;
  if (meter === undefined) return () => undefined;
  const timer = setInterval(() => {
    meter.tick().then(
      (answer) => {
        if (answer === "stop") abort.abort(meterStopped);
      },
      () => abort.abort(meterStopped),
    );
  }, meter.everyMs);
  return () => clearInterval(timer);
}
