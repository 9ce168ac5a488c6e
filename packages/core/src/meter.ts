import type { Call } from "./call.ts";
import type { Admitted } from "./exchange.ts";
import type { Settings } from "./options.ts";
import { type Asker, type KnownCaller, identifyCaller } from "./rules/caller.ts";
import { isOpen } from "./rules/limits.ts";
import type { Micros } from "./rules/price.ts";
import type { Exchange } from "./seam.ts";
import type { Hold } from "./store.ts";

const minute = 60_000;

type Metered = Pick<Admitted, "call" | "caller" | "hold" | "price" | "job" | "settings"> & { readonly door: Asker };

/**
 * Streams and sockets are asked about while they are open: is the caller still let in, and is there money for another minute? Who
 * listens to a job's states has not abandoned it.
 */
export function meterOf({ call, caller, hold, price, job, settings, door }: Metered): Exchange["meter"] {
  const listens = call.kind === "status-stream";
  const metered = hold !== undefined && isOpen(call);
  const asked = (isOpen(call) || listens) && !caller.isPublic;
  const followed = listens && settings.abandonment !== undefined ? job : undefined;
  if (!metered && !asked && followed === undefined) return undefined;
  const { openLease, abandoned } = settings.timeouts;
  const spans = [metered ? Math.min(minute, openLease / 3) : [], followed ? abandoned / 3 : []].flat();
  const everyMs = Math.min(settings.reauthorize, ...spans);
  const renew = metered ? renewer(hold, settings, everyMs) : undefined;
  let paidUntil = settings.now() + minute;
  return {
    everyMs,
    async tick() {
      if (asked && !(await isStill(door, call, caller, settings))) return "stop";
      if (followed !== undefined) settings.abandonment?.again(followed.from);
      if (renew === undefined) return "go";
      const due = settings.now() + everyMs > paidUntil ? (price?.perMinute ?? 0) : 0;
      if (due > 0) paidUntil += minute;
      return (await renew(due)) ? "go" : "stop";
    },
  };
}

/**
 * Renews the lease of what a call holds. A store that is away for a moment ends no call: its place is leased until the lease ends.
 * A minute that must be paid is another thing.
 */
function renewer(hold: Hold, settings: Settings, everyMs: number): (due: Micros) => Promise<boolean> {
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
