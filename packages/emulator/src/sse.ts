import { toBytes, type Answer, type HeaderLine } from "./answer.ts";

const ping = toBytes(": ping\n\n");

/** A server-sent event in fal's form: one line of JSON, no name, no id (fal-js 1.10.1, `stream`). */
function toEvent(value: unknown): Uint8Array {
  return toBytes(`data: ${JSON.stringify(value) ?? "null"}\n\n`);
}

/** Answers events as they come, a comment line whenever `pingMs` pass without one, and end of file after the last. */
export function toEventStream(
  events: AsyncIterable<unknown>,
  pingMs: number,
  headers: readonly HeaderLine[] = [],
): Answer {
  const head: readonly HeaderLine[] = [
    ["content-type", "text/event-stream; charset=utf-8"],
    ["cache-control", "no-store"],
    ...headers,
  ];
  return { status: 200, headers: head, body: withPings(events, pingMs) };
}

async function* withPings(events: AsyncIterable<unknown>, pingMs: number): AsyncGenerator<Uint8Array> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    let next = iterator.next();
    for (;;) {
      next.catch(() => undefined); // nobody waits for it any more when the reader leaves during a ping
      const result = await inTime(next, pingMs);
      if (result === undefined) {
        yield ping;
        continue;
      }
      if (result.done === true) return;
      yield toEvent(result.value);
      next = iterator.next();
    }
  } finally {
    iterator.return?.().catch(() => undefined);
  }
}

/** The promise's value, or undefined when `ms` pass before it settles. */
async function inTime<Value>(promise: Promise<Value>, ms: number): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
