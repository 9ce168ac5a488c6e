import type { Call } from "./call.ts";
import type { AdmittedCall } from "./exchange.ts";
import { type Head, type HeaderList, valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { type Asker, type KnownCaller, identifyCaller } from "./rules/caller.ts";
import { isOpen } from "./rules/limits.ts";
import type { Micros } from "./rules/price.ts";
import type { Exchange } from "./seam.ts";
import type { Hold } from "./store.ts";

const minute = 60_000;

type Metered = Pick<AdmittedCall, "call" | "caller" | "hold" | "price" | "job" | "more" | "settings"> & {
  readonly door: Asker;
};

/** Streams and sockets are asked about while they are open; undefined where there is nothing to ask. */
export function meterOf(metered: Metered): Meter | undefined {
  const { call, caller, hold, job, settings } = metered;
  const listens = call.kind === "status-stream";
  const paid = hold !== undefined && isOpen(call);
  const asked = (isOpen(call) || listens) && !caller.isPublic;
  const followed = listens && settings.abandonment !== undefined ? job?.from : undefined;
  if (!paid && !asked && followed === undefined) return undefined;
  const { openLease, abandoned } = settings.timeouts;
  const spans = [paid ? Math.min(minute, openLease / 3) : [], followed === undefined ? [] : abandoned / 3].flat();
  const everyMs = Math.min(settings.reauthorize, ...spans);
  const renew = paid ? renewer(hold, settings, everyMs) : undefined;
  return new Meter(metered, { everyMs, asked, followed, renew });
}

/**
 * Is the caller still let in, and is there money for another minute? Who listens to a job's states has not abandoned it. A class:
 * what closures in {@link meterOf} use would be allocated whenever it is entered, for calls without a meter too.
 */
export class Meter implements NonNullable<Exchange["meter"]> {
  readonly everyMs: number;
  readonly #metered: Metered;
  readonly #questions: Questions;
  readonly #since: number;
  /** Minutes for which money was set aside. */
  #minutes = 1;

  constructor(metered: Metered, questions: Questions) {
    this.everyMs = questions.everyMs;
    this.#metered = metered;
    this.#questions = questions;
    this.#since = metered.settings.now();
  }

  async tick(): Promise<"go" | "stop"> {
    const { call, caller, price, settings, door, more } = this.#metered;
    const { everyMs, asked, followed, renew } = this.#questions;
    const asker = { head: laterHead(door.head, more), native: door.native };
    if (asked && !(await isStill(asker, call, caller, settings))) return "stop";
    if (followed !== undefined) settings.abandonment?.again(followed);
    if (renew === undefined) return "go";
    const due = settings.now() + everyMs > this.#since + this.#minutes * minute ? (price?.perMinute ?? 0) : 0;
    const minutes = due > 0 ? 1 : 0;
    this.#minutes += minutes;
    if (await renew(due)) return "go";
    this.#minutes -= minutes;
    return "stop";
  }

  /** How many minutes have begun, as far as money was set aside for them: the next one's is before it begins. */
  begunMinutes(): number {
    const passed = this.#metered.settings.now() - this.#since;
    return Math.min(this.#minutes, Math.max(1, Math.ceil(passed / minute)));
  }
}

/** The head as the caller would send it again: with the cookie that he got from its answer, ahead of one that was not right. */
export function laterHead(head: Head, more: HeaderList): Head {
  const fresh = valueOf(more, "set-cookie")?.split(";")[0];
  if (fresh === undefined) return head;
  const cookies = head.headers.filter(([name]) => name === "cookie").map(([, value]) => value);
  const others = head.headers.filter(([name]) => name !== "cookie");
  return { ...head, headers: [...others, ["cookie", [fresh, ...cookies].join("; ")]] };
}

/** What there is to ask. */
interface Questions {
  readonly everyMs: number;
  /** Whether the app is asked about the caller again. */
  readonly asked: boolean;
  /** The job that its listener has not abandoned. */
  readonly followed: string | undefined;
  readonly renew: Renew | undefined;
}

type Renew = (due: Micros) => Promise<boolean>;

/**
 * Renews the lease of what a call holds. A store that is away for a moment ends no call: its place is leased until the lease ends.
 * A minute that must be paid is another thing.
 */
function renewer(hold: Hold, settings: Settings, everyMs: number): Renew {
  const lease = settings.timeouts.openLease;
  let leasedUntil = settings.now() + lease;
  return async (due) => {
    try {
      const isRenewed = await settings.askStore((store) => store.extend(hold.id, lease, due));
      leasedUntil = settings.now() + lease;
      return isRenewed;
    } catch {
      return due === 0 && settings.now() + everyMs <= leasedUntil;
    }
  };
}

/** Whoever is no longer let in is cut off, and so is everyone when the app cannot tell. */
async function isStill(door: Asker, call: Call, caller: KnownCaller, settings: Settings): Promise<boolean> {
  try {
    return (await identifyCaller(door, call, settings)).caller.id === caller.id;
  } catch {
    return false;
  }
}
