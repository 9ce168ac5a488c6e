import type { AdmittedCall } from "./exchange.ts";
import type { AskedJob } from "./job-queue.ts";
import { endJob, jobKey, nameOf, secondsOf, settleHold, settleJob } from "./job.ts";
import type { Meter } from "./meter.ts";
import type { Settings } from "./options.ts";
import { isGateways, outcomeOf } from "./rules/outcome.ts";
import type { Ending, UpstreamHead } from "./seam.ts";
import type { Outcome } from "./store.ts";
import type { SealedJob } from "./submission.ts";

/** Charges or releases what the call was worth. Undefined when there is nothing to do. */
export function settleCall(
  { call, caller, hold, price, settings }: Pick<AdmittedCall, "call" | "caller" | "hold" | "price" | "settings">,
  ending: Ending,
  upstream: UpstreamHead | undefined,
  job: SealedJob | undefined,
  meter: Meter | undefined,
): Promise<unknown> | undefined {
  const unrun = (): boolean => job !== undefined && settings.tracker.wasQueued(job.from);
  const outcome = outcomeOf(call.kind, ending, upstream, unrun);
  const asked = job && { id: job.from, app: call.app, caller: caller.id };
  const isResult = call.kind === "result" && call.method === "GET";
  if (outcome === undefined)
    return isResult && asked !== undefined && isDoubtful(upstream, asked, settings)
      ? settleJob(asked, settings)
      : undefined;
  if (hold !== undefined) {
    const whose = {
      caller: nameOf({ caller: caller.id, isPublic: caller.isPublic }),
      endpoint: call.endpoint,
      falRequestId: undefined,
    };
    const timed = outcome !== "release" && price?.perMinute !== undefined && meter !== undefined;
    return settleHold({ hold: hold.id }, timed ? { units: meter.begunMinutes() } : outcome, settings, whose);
  }
  if (asked === undefined) return undefined;
  if (call.kind === "cancel") return settleCancel(asked.id, upstream, settings);
  return isResult ? settleResult(asked, outcome, settings) : undefined;
}

/** A job that fal.ai agreed to cancel leaves its place if it waited when last seen: one at work may go on. Its money waits in any case. */
async function settleCancel(id: string, upstream: UpstreamHead | undefined, settings: Settings): Promise<void> {
  if (upstream === undefined || upstream.status > 299) return;
  settings.abandonment?.over(id);
  if (settings.tracker.wasQueued(id)) await endJob(id, undefined, settings);
}

/** Whether a job may have cost something though the answer to its result does not say so: its end was seen, or that may be a gateway's answer. */
function isDoubtful(upstream: UpstreamHead | undefined, { id }: AskedJob, { endpoints, tracker }: Settings): boolean {
  if (upstream === undefined || endpoints.every(({ price }) => price === undefined)) return false;
  return tracker.isOver(id) || (upstream.status >= 500 && isGateways(upstream.status));
}

/** Seconds stand in the status alone, and a caller may ask for the result before he asks for that. */
async function settleResult(job: AskedJob, outcome: Outcome, settings: Settings): Promise<void> {
  const { endpoints, abandonment, tracker } = settings;
  abandonment?.over(job.id);
  const timed = outcome !== "release" && endpoints.some(({ price }) => price?.perSecond !== undefined);
  const isCharged = tracker.isOver(job.id) && !tracker.hasFailed(job.id);
  const seconds = timed && !isCharged ? await secondsOf(job, settings) : undefined;
  const whole = seconds === undefined || outcome === "release" ? outcome : { ...outcome, seconds };
  const isSettled = await settleHold({ job: await jobKey(job.id, settings) }, whole, settings);
  // Its end is remembered where it was asked for, so that it is not asked for again.
  if (timed && isSettled) tracker.see(job.id, "COMPLETED");
  else tracker.forget(job.id);
}
