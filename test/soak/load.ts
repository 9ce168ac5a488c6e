import { setTimeout as pause } from "node:timers/promises";
import { type Outcome, listen, makeCall, talk } from "./callers.ts";
import type { Ticket, Tickets } from "./tickets.ts";

type Counts = Record<string, number>;

/** What came of the load so far. */
export interface Load {
  readonly tally: {
    readonly calls: Counts;
    readonly streams: Counts;
    readonly sockets: Counts;
    /** Events of the streams and sockets that ended whole. */
    sent: number;
    received: number;
  };
  /** What ended otherwise than its ticket said. */
  readonly wrongs: readonly string[];
  /** While the store is away, calls may be refused. */
  expectRefusals(expected: boolean): void;
  /** Sends everybody home, ends what is left, and waits until all is over. */
  finish(endTheRest: () => void): Promise<void>;
}

const callEvery = 20;

/** Keeps so many streams and sockets open, each replaced when it ends, and makes fifty calls a second. */
export function startLoad(url: string, tickets: Tickets, each: number): Load {
  const over = new AbortController();
  const underWay = new Set<Promise<void>>();
  const wrongs: string[] = [];
  const tally = { calls: {} as Counts, streams: {} as Counts, sockets: {} as Counts, sent: 0, received: 0 };
  let refusalsExpected = false;

  function note(counts: Counts, ticket: Ticket, outcome: Outcome): void {
    const name = typeof outcome === "string" ? outcome : "wrong";
    counts[name] = (counts[name] ?? 0) + 1;
    if (typeof outcome !== "string") wrongs.push(outcome.wrong);
    if (outcome === "refused" && !refusalsExpected) wrongs.push("refused though the store was there");
    if (outcome !== "whole" || counts === tally.calls) return;
    tally.sent += ticket.sent;
    tally.received += ticket.received;
  }

  async function play(counts: Counts, ticket: Ticket, act: Promise<Outcome>): Promise<void> {
    note(counts, ticket, await act.catch((error: unknown) => ({ wrong: String(error) })));
    tickets.forget(ticket);
  }

  function begin(work: Promise<void>): void {
    underWay.add(work);
    void work.finally(() => underWay.delete(work));
  }

  async function keepOpen(counts: Counts, act: typeof listen): Promise<void> {
    while (!over.signal.aborted) {
      const ticket = tickets.next("stream");
      await play(counts, ticket, act(url, ticket, over));
      // Who was refused does not come again at once.
      await pause(200, undefined, { signal: over.signal }).catch(() => undefined);
    }
  }

  over.signal.addEventListener("abort", () => clearInterval(calling), { once: true });
  const calling = setInterval(() => {
    const ticket = tickets.next("call");
    begin(play(tally.calls, ticket, makeCall(url, ticket)));
  }, callEvery);
  for (let number = 0; number < each; number += 1) {
    begin(keepOpen(tally.streams, listen));
    begin(keepOpen(tally.sockets, talk));
  }
  return {
    tally,
    wrongs,
    expectRefusals: (expected) => {
      refusalsExpected = expected;
    },
    async finish(endTheRest) {
      over.abort();
      endTheRest();
      await Promise.all(underWay);
    },
  };
}
