import type { Admitted } from "./exchange.ts";
import { endJob, jobKey, nameOf, settleHold } from "./job.ts";
import type { Settings } from "./options.ts";
import { outcomeOf } from "./rules/outcome.ts";
import type { Ending, UpstreamHead } from "./seam.ts";
import type { Outcome } from "./store.ts";
import type { SealedJob } from "./submission.ts";

/** Charges or releases what the call was worth. Undefined when there is nothing to do. */
export function settleCall(
  { call, caller, hold, settings }: Pick<Admitted, "call" | "caller" | "hold" | "settings">,
  ending: Ending,
  upstream: UpstreamHead | undefined,
  job: SealedJob | undefined,
): Promise<void> | undefined {
  const unrun = (): boolean => job !== undefined && settings.tracker.wasQueued(job.from);
  const outcome = outcomeOf(call.kind, ending, upstream, unrun);
  if (outcome === undefined) return undefined;
  if (hold !== undefined) {
    const whose = {
      caller: nameOf({ caller: caller.id, isPublic: caller.isPublic }),
      endpoint: call.endpoint,
      falRequestId: undefined,
    };
    return settleHold({ hold: hold.id }, outcome, settings, whose);
  }
  if (job === undefined) return undefined;
  if (call.kind === "cancel") return settleCancel(job, upstream, settings);
  return call.kind === "result" && call.method === "GET" ? settleResult(job, outcome, settings) : undefined;
}

/** A job that fal.ai agreed to cancel leaves its place; its money waits for what the result says. */
async function settleCancel(job: SealedJob, upstream: UpstreamHead | undefined, settings: Settings): Promise<void> {
  if (upstream === undefined || upstream.status > 299) return;
  settings.abandonment?.over(job.from);
  await endJob(job.from, undefined, settings);
}

async function settleResult(job: SealedJob, outcome: Outcome, settings: Settings): Promise<void> {
  settings.abandonment?.over(job.from);
  settings.tracker.forget(job.from);
  await settleHold({ job: await jobKey(job.from, settings) }, outcome, settings);
}
