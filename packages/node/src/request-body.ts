import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { ProxyError } from "@keyway/core";

/** Bodies up to this many bytes with a known length are sent upstream in one write. */
export const smallBody: number = 64 * 1024;

/**
 * A body that somebody read before: its raw bytes, or an explanation for the log when they are lost. It is never rebuilt from a parsed
 * value.
 */
export type GivenBody = Uint8Array | { readonly lost: string };

/** The refusal of a call whose body is lost. */
export function bodyConsumed(log: string): ProxyError {
  return new ProxyError("body_consumed", { log });
}

/** Limits of a caller's body: bytes, and milliseconds without a byte. */
export interface BodyLimits {
  readonly maxBytes: number;
  readonly stallMs: number;
}

/** Who is told of a request's body, until it ends or fails. */
interface Follower {
  data(chunk: Buffer): void;
  end(): void;
  fail(error: Error): void;
}

/** Follows a request's body until it ends, fails, grows too large or is no longer wanted. `rest`: nothing is awaited until `awaitMore`. */
function follow(
  req: IncomingMessage,
  { maxBytes, stallMs }: BodyLimits,
  follower: Follower,
): { stop(): void; rest(): void; awaitMore(): void } {
  let total = 0;
  let timer: NodeJS.Timeout | undefined;
  let told: Follower | undefined = follower;
  const awaitMore = (): void => {
    clearTimeout(timer);
    if (told !== undefined) timer = setTimeout(() => fail(new ProxyError("body_timeout")), stallMs);
  };
  const rest = (): void => {
    clearTimeout(timer);
    timer = undefined;
  };
  // Listeners stay where they are: to take them off costs as much as the rest. Whom they tell is forgotten, because the list that
  // names them may be in V8's old generation, where it outlives the request with all that it leads to.
  const stop = (): Follower | undefined => {
    const last = told;
    told = undefined;
    rest();
    return last;
  };
  const fail = (error: Error): void => stop()?.fail(error);
  const onData = (chunk: Buffer): void => {
    if (told === undefined) return;
    total += chunk.length;
    if (total > maxBytes)
      return fail(
        new ProxyError("body_too_large", {
          message: `The request body is larger than ${maxBytes} bytes (option maxBodyBytes).`,
        }),
      );
    timer?.refresh();
    told.data(chunk);
  };
  const onEnd = (): void => stop()?.end();
  // An error that breaks a body is followed by its close.
  const onClose = (): void => {
    if (told !== undefined) fail(new ProxyError("body_incomplete"));
  };
  req.on("data", onData).on("end", onEnd).on("close", onClose);
  if (req.destroyed) queueMicrotask(onClose);
  else awaitMore();
  return { stop, rest, awaitMore };
}

/** The whole body, up to the limit. */
export function collectBody(req: IncomingMessage, limits: BodyLimits): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    follow(req, limits, new Collector(resolve, reject));
  });
}

/** A class for the reason that is given at `AdmittedCall` of the core. */
class Collector implements Follower {
  readonly #parts: Buffer[] = [];
  readonly #resolve: (body: Uint8Array) => void;
  readonly fail: (error: Error) => void;

  constructor(resolve: (body: Uint8Array) => void, reject: (error: Error) => void) {
    this.#resolve = resolve;
    this.fail = reject;
  }

  data(chunk: Buffer): void {
    this.#parts.push(chunk);
  }

  end(): void {
    const [only] = this.#parts;
    this.#resolve(this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts));
  }
}

/**
 * The body as it comes, with back-pressure. A stream of its own, because what sends it upstream destroys it on failure, and the
 * request it comes from must live on to be answered.
 */
export function streamBody(req: IncomingMessage, limits: BodyLimits, count: (bytes: number) => void): Readable {
  const body = new Readable({
    read() {
      following.awaitMore();
      req.resume();
    },
    destroy(error, callback) {
      following.stop();
      // What he still sends is of no interest, and keeps him from reading the answer if nobody takes it.
      req.resume();
      callback(error);
    },
  });
  const following = follow(req, limits, {
    data(chunk) {
      count(chunk.length);
      if (body.push(chunk)) return;
      req.pause();
      following.rest();
    },
    end: () => body.push(null),
    fail: (error) => body.destroy(error),
  });
  // Whoever sends it listens while he does. An error before or after that would have no listener, and end the process.
  body.on("error", () => undefined);
  return body;
}
