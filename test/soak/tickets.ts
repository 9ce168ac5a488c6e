import { createRandom } from "../random.ts";

/** How a call is to end. `stays`: open until the load is over. */
type Fate = "whole" | "stays" | "left" | "reset" | "failed";

/** One call of the load, known to the caller's end and to upstream's, so that both can be compared. */
export interface Ticket {
  readonly id: number;
  readonly fate: Fate;
  /** Events after which its fate comes. */
  readonly events: number;
  /** What upstream sent, and what of it the caller got, in order. */
  sent: number;
  received: number;
}

/** Hands out tickets whose fates follow from a seed: 5 % leave, 2 % are reset by upstream, 1 % are answered 503. */
export interface Tickets {
  next(kind: "call" | "stream"): Ticket;
  /** By the id in a URL's query. */
  find(url: string): Ticket | undefined;
  forget(ticket: Ticket): void;
}

export function createTickets(seed: number): Tickets {
  const random = createRandom(seed);
  const open = new Map<number, Ticket>();
  let last = 0;
  return {
    next(kind) {
      const fate = fateOf(random(), kind);
      const ticket = { id: (last += 1), fate, events: 3 + Math.floor(random() * 40), sent: 0, received: 0 };
      open.set(ticket.id, ticket);
      return ticket;
    },
    find: (url) => open.get(Number(new URLSearchParams(url.slice(url.indexOf("?"))).get("ticket"))),
    forget: ({ id }) => void open.delete(id),
  };
}

function fateOf(roll: number, kind: "call" | "stream"): Fate {
  if (roll < 0.05) return "left";
  if (roll < 0.07) return "reset";
  if (roll < 0.08) return "failed";
  return kind === "stream" && roll < 0.5 ? "stays" : "whole";
}
