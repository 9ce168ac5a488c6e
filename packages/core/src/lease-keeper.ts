import type { Settings } from "./options.ts";
import { type Soon, isPending } from "./soon.ts";
import type { Hold } from "./store.ts";

/** The timer that renews a lease, for `clearInterval`; undefined where nothing is held. */
export type LeaseKeeper = ReturnType<typeof setInterval> | undefined;

/** Renews the lease of what a call holds: nobody knows how long its body, or a cold start, takes. */
export function keepLease(hold: Hold | undefined, settings: Settings): LeaseKeeper {
  return hold === undefined ? undefined : startKeeper(hold, settings);
}

/** Apart from the above, because what closures use is allocated whenever a function is entered. */
function startKeeper({ id, leaseMs }: Hold, settings: Settings): LeaseKeeper {
  const renew = async (): Promise<unknown> => settings.askStore((store) => store.extend(id, leaseMs, 0));
  return setInterval(() => void renew().catch(() => undefined), leaseMs / 3);
}

/** Keeps the lease until this is there. */
export function whileHeld<T>(hold: Hold | undefined, settings: Settings, value: Soon<T>): Soon<T> {
  if (hold === undefined || !isPending(value)) return value;
  const keeper = startKeeper(hold, settings);
  return value.finally(() => clearInterval(keeper));
}
