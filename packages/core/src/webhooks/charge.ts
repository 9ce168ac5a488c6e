import { type JobEnd, type JobNote, endJob, jobKey, readJob, settleHold } from "../job.ts";
import type { Settings } from "../options.ts";

/** Charges a delivered job as a fetched result is charged, and gives its units. Deliveries name none, so a priced job is asked about. */
export async function settleDelivered(note: JobNote, settings: Settings): Promise<number | undefined> {
  settings.abandonment?.over(note.id);
  const priced = settings.endpoints.some(({ price }) => price !== undefined);
  const end = priced ? await readJob(note, 0, settings).catch(() => undefined) : undefined;
  if (typeof end === "object") return settleEnd(note, end, settings);
  if (priced) await endJob(note.id, undefined, settings);
  else await settleHold({ job: await jobKey(note.id, settings) }, {}, settings);
  return undefined;
}

/** Charges what fal.ai says of a job that is over, and gives its units. */
export async function settleEnd(note: JobNote, end: JobEnd, settings: Settings): Promise<number | undefined> {
  settings.tracker.forget(note.id);
  if (end.outcome !== undefined) await settleHold({ job: await jobKey(note.id, settings) }, end.outcome, settings);
  return end.units;
}
