import { type JobNote, endJob, jobKey, readJob, settleEnd, settleHold } from "../job.ts";
import type { Settings } from "../options.ts";

/** Charges a delivered job as a fetched result is charged, and gives its units. Deliveries name none, so a priced job is asked about. */
export async function settleDelivered(note: JobNote, settings: Settings): Promise<number | undefined> {
  settings.abandonment?.over(note.id);
  const priced = settings.endpoints.some(({ price }) => price !== undefined);
  const end = priced ? await readJob(note, 0, settings).catch(() => undefined) : undefined;
  if (typeof end === "object") return settleEnd(note.id, end, settings);
  if (priced) await endJob(note.id, undefined, settings);
  else await settleHold({ job: await jobKey(note.id, settings) }, {}, settings);
  return undefined;
}
