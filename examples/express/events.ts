import type { ServerResponse } from "node:http";
import type { ObserveEvent } from "@keyway/express";

/** How many events are remembered, for pages that lost the connection and come back. */
const remembered = 200;
/** A reader that is so many bytes behind is disconnected; the browser connects again by itself. */
const mostUnread = 256 * 1024;

interface Entry {
  readonly number: number;
  readonly event: ObserveEvent;
}

const recent: Entry[] = [];
const readers = new Map<ServerResponse, (entry: Entry) => void>();
let last = 0;

/** Keyway's option `observe`: tells every open page about the calls of its own user. */
export function publishEvent(event: ObserveEvent): void {
  last += 1;
  const entry = { number: last, event };
  recent.push(entry);
  if (recent.length > remembered) recent.shift();
  for (const tell of readers.values()) tell(entry);
}

/** Sends the events of one caller as server-sent events, from the one after `lastEventId` on. */
export function sendEvents(res: ServerResponse, caller: string, lastEventId: string | undefined): void {
  res.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-store, no-transform",
    "x-accel-buffering": "no",
  });
  res.flushHeaders();
  const tell = ({ number, event }: Entry): void => {
    if (event.caller !== caller) return;
    res.write(`id: ${number}\ndata: ${JSON.stringify(event)}\n\n`);
    if (res.writableLength > mostUnread) res.destroy();
  };
  const seen = lastEventId === undefined ? last : Number(lastEventId);
  for (const entry of recent) if (entry.number > seen) tell(entry);
  readers.set(res, tell);
  res.on("close", () => readers.delete(res));
}

/** Ends all feeds, so that the server can close. */
export function closeEvents(): void {
  for (const res of readers.keys()) res.end();
  // Calls that are still open end later, and what is told of them then would be written after the end.
  readers.clear();
}
