import type { ObserveEvent } from "@keyway/sveltekit";

/** How many events are remembered, for pages that lost the connection and come back. */
const remembered = 200;
/** A reader that is so many events behind is disconnected; the browser connects again by itself. */
const mostUnread = 500;

interface Entry {
  readonly number: number;
  readonly event: ObserveEvent;
}

const recent: Entry[] = [];
const readers = new Set<(entry: Entry) => void>();
let last = 0;

/** Keyway's option `observe`: tells every open page about the calls of its own user. */
export function publishEvent(event: ObserveEvent): void {
  last += 1;
  const entry = { number: last, event };
  recent.push(entry);
  if (recent.length > remembered) recent.shift();
  for (const tell of readers) tell(entry);
}

/** The events of one caller as server-sent events, from the one after `lastEventId` on. */
export function streamEvents(caller: string, lastEventId: string | null): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let tell: (entry: Entry) => void;
  return new ReadableStream(
    {
      start(controller) {
        const stop = (): void => {
          if (readers.delete(tell)) controller.close();
        };
        tell = ({ number, event }) => {
          if (event.caller !== caller) return;
          controller.enqueue(encoder.encode(`id: ${number}\ndata: ${JSON.stringify(event)}\n\n`));
          if ((controller.desiredSize ?? 0) <= 0) stop();
        };
        readers.add(tell);
        controller.enqueue(encoder.encode(":\n\n")); // Kit sends the head with the first bytes.
        const seen = lastEventId === null ? last : Number(lastEventId);
        for (const entry of recent) if (entry.number > seen) tell(entry);
      },
      cancel() {
        readers.delete(tell);
      },
    },
    { highWaterMark: mostUnread },
  );
}
