import { ProxyError } from "./errors.ts";
import { concat } from "./rewrite.ts";
import { tooLarge } from "./rules/body.ts";
import { within } from "./within.ts";

/** What a body may be. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Every piece must come within so many milliseconds. */
  readonly within: number;
  /** Its length as announced: a body that ends before is incomplete. */
  readonly announced?: number | undefined;
  /** The host's own setting that bounds bodies, named in the refusal when the host cut one off. */
  readonly hostLimit?: string | undefined;
  /** Told the size of each piece. */
  readonly count?: (bytes: number) => void;
  /** Told when all of it has come. */
  readonly whole?: () => void;
}

/** Reads a whole body within its limits, where it is not all here already. */
export async function collectStream(
  body: ReadableStream<Uint8Array> | Uint8Array | null,
  limits: BodyLimits,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  if (body === null) return new Uint8Array(0);
  if (body instanceof Uint8Array) return body;
  const { stream, letGo } = limitStream(body, limits);
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return concat(parts);
      parts.push(value);
    }
  } catch (error) {
    letGo();
    throw error;
  }
}

/** A body on its way. */
export interface LimitedStream {
  readonly stream: ReadableStream<Uint8Array>;
  /** Ends with it, whoever has the stream: nobody wants the rest. */
  readonly letGo: () => void;
}

/** A body that fails with `body_too_large` beyond the limit, `body_timeout` when it stops coming, `body_incomplete` when it ends early. */
export function limitStream(body: ReadableStream<Uint8Array>, limits: BodyLimits): LimitedStream {
  const { maxBytes, announced, count } = limits;
  const reader = body.getReader();
  let total = 0;
  let gone = false;
  const letGo = (): void => {
    if (!gone) linger(reader);
    gone = true;
  };
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await readInTime(reader, limits);
        if (done) {
          if (announced !== undefined && total < announced) throw cutShort(total, announced, limits.hostLimit);
          limits.whole?.();
          return controller.close();
        }
        total += value.length;
        count?.(value.length);
        if (total <= maxBytes) return controller.enqueue(value);
        const error = tooLarge(maxBytes);
        controller.error(error);
        letGo();
      },
      cancel: letGo,
    },
    { highWaterMark: 0 },
  );
  return { stream, letGo };
}

/** How long a caller may go on sending a body that nobody wants, so that he can read the answer. Milliseconds. */
const lingering = 5000;

/** Lets go of a body. Some hosts break the connection when a body is cancelled, so the rest is taken for a while. */
function linger(reader: ReadableStreamDefaultReader<Uint8Array>): void {
  const timer = setTimeout(() => void reader.cancel().catch(ignore), lingering);
  discard(reader)
    .catch(ignore)
    .finally(() => clearTimeout(timer));
}

async function discard(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}

function ignore(): void {
  // The body is of no interest any more, and neither is how it ends.
}

async function readInTime(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  { within: ms, hostLimit }: BodyLimits,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await within(reader.read(), ms, bodyTimeout);
  } catch (cause) {
    throw cause instanceof ProxyError ? cause : toBodyError(cause, hostLimit);
  }
}

function bodyTimeout(): ProxyError {
  return new ProxyError("body_timeout");
}

/** Hosts with a limit of their own fail the stream with an error that carries the status they would answer. */
function toBodyError(cause: unknown, hostLimit: string | undefined): ProxyError {
  const refusedByHost = cause instanceof Error && "status" in cause && cause.status === 413;
  if (!refusedByHost) return new ProxyError("body_incomplete", { cause });
  return new ProxyError("body_too_large", {
    cause,
    message: `The request body is larger than this server lets through${hostLimit === undefined ? "" : `: ${hostLimit}`}.`,
  });
}

function cutShort(total: number, announced: number, hostLimit: string | undefined): ProxyError {
  return new ProxyError("body_incomplete", {
    message: `The request body ended after ${total} of ${announced} bytes${hostLimit === undefined ? "" : `: ${hostLimit}`}.`,
  });
}
