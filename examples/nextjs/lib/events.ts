import type { ObserveEvent } from "@keyway/nextjs";
import { processWide } from "./process-wide";

/** How many events are remembered, for pages that lost the connection and come back. */
const remembered = 200;
/** A reader that is so many events behind is disconnected; the browser connects again by itself. */
const mostUnread = 500;

interface Entry {
  readonly number: number;
  readonly event: ObserveEvent;
}

const feed = processWide("events", () => ({
  recent: [] as Entry[],
  readers: new Set<(entry: Entry) => void>(),
  last: 0,
}));

/** Keyway's option `observe`: tells every open page about the calls of its own user. */
export function publishEvent(event: ObserveEvent): void {
  feed.last += 1;
  const entry = { number: feed.last, event };
  feed.recent.push(entry);
  if (feed.recent.length > remembered) feed.recent.shift();
  for (const tell of feed.readers) tell(entry);
}

/** The events of one caller as server-sent events, from the one after `lastEventId` on, until the reader leaves. */
export function streamEvents(
  caller: string,
  lastEventId: string | null,
  left: AbortSignal,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let tell: (entry: Entry) => void;
  return new ReadableStream(
    {
      start(controller) {
        const stop = (): void => {
          if (feed.readers.delete(tell)) controller.close();
        };
        tell = ({ number, event }) => {
          if (event.caller !== caller) return;
          controller.enqueue(encoder.encode(`id: ${number}\ndata: ${JSON.stringify(event)}\n\n`));
          if ((controller.desiredSize ?? 0) <= 0) stop();
        };
        feed.readers.add(tell);
        left.addEventListener("abort", stop);
        controller.enqueue(encoder.encode(":\n\n")); // Next sends the head with the first bytes.
        const seen = lastEventId === null ? feed.last : Number(lastEventId);
        for (const entry of feed.recent) if (entry.number > seen) tell(entry);
      },
      cancel() {
        feed.readers.delete(tell);
      },
    },
    { highWaterMark: mostUnread },
  );
}
