import type { Call } from "../call.ts";
import { ProxyError } from "../errors.ts";
import type { Settings } from "../options.ts";
import { type Soon, andThen } from "../soon.ts";
import type { KnownCaller } from "./caller.ts";

/** Whether this caller's jobs are sealed to him. */
export function ownsJobs(caller: KnownCaller, settings: Settings): boolean {
  return settings.ownership === "caller" && !caller.isPublic;
}

/** fal's own id of the job that a call is about; undefined for calls about none. Without a right seal the job does not exist: 404. */
export function openJob(call: Call, caller: KnownCaller, settings: Settings): Soon<string | undefined> {
  if (call.requestId === undefined) return undefined;
  if (!ownsJobs(caller, settings)) return call.requestId;
  return andThen(settings.sealer.open(call.requestId, { caller: caller.id, app: call.app }), (opened) => {
    if (opened === undefined) throw new ProxyError("not_found");
    return opened;
  });
}
