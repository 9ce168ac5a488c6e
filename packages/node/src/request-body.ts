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

/** Follows a request's body until it ends, fails, grows too large or is no longer asked for. */
class Following {
  readonly #limits: BodyLimits;
  // Listeners stay where they are: to take them off costs as much as the rest. What they lead to goes with the body, as V8 may
  // have made the list that names them in its old generation, where it outlives the request.
  #follower: Follower | undefined;
  #total = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(req: IncomingMessage, limits: BodyLimits, follower: Follower) {
    this.#limits = limits;
    this.#follower = follower;
    // An error that breaks a body is followed by its close.
    const closed = (): void => this.#fail(new ProxyError("body_incomplete"));
    req
      .on("data", (chunk: Buffer) => this.#data(chunk))
      .on("end", () => this.stop()?.end())
      .on("close", closed);
    if (req.destroyed) queueMicrotask(closed);
    else this.awaitMore();
  }

  /** Answers whom it followed the body for until now. */
  stop(): Follower | undefined {
    const follower = this.#follower;
    this.#follower = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    return follower;
  }

  awaitMore(): void {
    if (this.#follower === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#fail(new ProxyError("body_timeout")), this.#limits.stallMs);
  }

  #fail(error: Error): void {
    this.stop()?.fail(error);
  }

  #data(chunk: Buffer): void {
    const follower = this.#follower;
    if (follower === undefined) return;
    const { maxBytes } = this.#limits;
    this.#total += chunk.length;
    if (this.#total > maxBytes)
      return this.#fail(
        new ProxyError("body_too_large", {
          message: `The request body is larger than ${maxBytes} bytes (option maxBodyBytes).`,
        }),
      );
    this.#timer?.refresh();
    follower.data(chunk);
  }
}

/** The whole body, up to the limit. */
export function collectBody(req: IncomingMessage, limits: BodyLimits): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    new Following(req, limits, new Collector(resolve, reject));
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
      callback(error);
    },
  });
  const following = new Following(req, limits, {
    data(chunk) {
      count(chunk.length);
      if (body.push(chunk)) return;
      req.pause();
    },
    end: () => body.push(null),
    fail: (error) => body.destroy(error),
  });
  // Whoever sends it listens while he does. An error before or after that would have no listener, and end the process.
  body.on("error", () => undefined);
  return body;
}
