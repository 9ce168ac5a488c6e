import type { AnswerHead, Ending, Exchange } from "./seam.ts";
import type { Sender } from "./sender.ts";

/**
 * One exchange of the web transport under way: what was counted, and the switch that ends it. It listens to the caller's signal itself: when
 * he leaves, upstream is closed, at once or after the time that a submit or cancel is given. A class for the reason that is given at `AdmittedCall`.
 */
export class Run implements EventListenerObject {
  readonly exchange: Exchange;
  readonly sender: Sender;
  readonly request: Request;
  /** Breaks off whatever is under way; the reason says who wanted it. */
  readonly abort: AbortController = new AbortController();
  bytesOut = 0;
  status: number | undefined = undefined;
  /** The caller's body has not all come yet. */
  incomplete = false;
  ended = false;
  /** Lets go of the caller's body where that is a stream. */
  letGo: (() => void) | undefined = undefined;
  #bytesIn = 0;
  #wait: ReturnType<typeof setTimeout> | undefined = undefined;
  #patience: ReturnType<typeof setTimeout> | undefined = undefined;

  constructor(exchange: Exchange, sender: Sender, request: Request) {
    this.exchange = exchange;
    this.sender = sender;
    this.request = request;
    if (request.signal.aborted) this.handleEvent();
    else request.signal.addEventListener("abort", this);
  }

  /** The caller left. */
  handleEvent(): void {
    const { exchange, abort } = this;
    if (exchange.whenCallerLeaves === "abort") return abort.abort(callerLeft);
    exchange.callerLeft();
    this.#patience = setTimeout(() => abort.abort(callerLeft), exchange.finishWithin);
  }

  /** From here on upstream has so long for the head of its answer. */
  awaitHead(): void {
    clearTimeout(this.#wait);
    this.#wait = setTimeout(giveUp, this.exchange.up.timeouts.head, this.abort);
  }

  /** A piece of the caller's body goes up. Upstream cannot answer what has not arrived, so its time starts anew. */
  count(bytes: number): void {
    this.#bytesIn += bytes;
    if (this.#wait !== undefined) this.awaitHead();
  }

  headCame(): void {
    clearTimeout(this.#wait);
    this.#wait = undefined;
  }

  /** The one end of every exchange; what comes later counts for nothing. */
  finish(ending: Ending): void {
    if (this.ended) return;
    this.ended = true;
    clearTimeout(this.#patience);
    this.request.signal.removeEventListener("abort", this);
    const { exchange, bytesOut, status, incomplete } = this;
    exchange.end(ending, { bytesIn: this.#bytesIn, bytesOut, status, incomplete });
  }
}

/** Why an exchange was broken off from our side. */
export const callerLeft: Error = new Error("the caller left");
const meterStopped = new Error("the caller may no longer call");

function giveUp(abort: AbortController): void {
  abort.abort(new DOMException("fal.ai did not answer in time", "TimeoutError"));
}

/** Pulls upstream's body as the caller takes it, ends it visibly broken when upstream breaks, and stops it when the caller leaves. */
export function passThrough(
  run: Run,
  source: ReadableStream<Uint8Array>,
  { body, flush }: AnswerHead,
): ReadableStream<Uint8Array> {
  const reader = source.getReader();
  const rewriter = typeof body === "object" && "push" in body ? body : undefined;
  const { moved, over } = watchBody(run);
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
function watchBody(run: Run): { moved: () => void; over: (ending: Ending) => void } {
  const { signal } = run.abort;
  const caller = run.request.signal;
  const stopMeter = startMeter(run);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const leave = (): void => run.abort.abort(callerLeft);
  const stopped = (): void => over(endingOf(signal));
  const over = (ending: Ending): void => {
    clearTimeout(timer);
    stopMeter();
    caller.removeEventListener("abort", leave);
    signal.removeEventListener("abort", stopped);
    run.finish(ending);
  };
  const moved = (): void => {
    clearTimeout(timer);
    if (run.ended) return;
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
