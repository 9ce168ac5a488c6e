import { ProxyError } from "./errors.ts";
import { concat } from "./rewrite.ts";
import { tooLarge } from "./rules/body.ts";

/** Reads a whole body up to a limit; every piece must come within `within` milliseconds. */
export async function collectStream(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  within: number,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  if (body === null) return new Uint8Array(0);
  const reader = limitStream(body, maxBytes, within, () => undefined).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return concat(parts);
    parts.push(value);
  }
}

/** A body that fails with `body_too_large` beyond the limit, and with `body_timeout` when it stops coming. */
export function limitStream(
  body: ReadableStream<Uint8Array> | null,
  maxBytes: number,
  within: number,
  count: (bytes: number) => void,
): ReadableStream<Uint8Array> {
  const reader = (body ?? new Blob([]).stream()).getReader();
  let total = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await readInTime(reader, within);
        if (done) return controller.close();
        total += value.length;
        count(value.length);
        if (total <= maxBytes) return controller.enqueue(value);
        const error = tooLarge(maxBytes);
        controller.error(error);
        await reader.cancel(error);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

async function readInTime(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  within: number,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new ProxyError("body_timeout")), within);
  });
  try {
    return await Promise.race([reader.read(), late]);
  } catch (cause) {
    throw cause instanceof ProxyError ? cause : new ProxyError("body_incomplete", { cause });
  } finally {
    clearTimeout(timer);
  }
}
