import { pendingList } from "../job-index.ts";
import { type JobNote, readJob, readNote, settleEnd } from "../job.ts";
import type { Settings } from "../options.ts";
import { isOwn } from "../rules/outcome.ts";
import type { Door } from "../seam.ts";
import type { ListedJob } from "../store.ts";
import { deliver } from "./deliver.ts";
import { toResult } from "./event.ts";
import type { Webhooks } from "./option.ts";

const mostBytes = 10 * 1024 * 1024;

/** Up to where this process has looked: jobs that stay at work must not keep the later ones from being looked at. */
const looked = new WeakMap<Webhooks, number>();

/** Jobs whose webhook is yet to come, the oldest first; the next call goes on where this one ends, and begins anew at the end. */
async function nextPending(most: number, webhooks: Webhooks, settings: Settings): Promise<readonly ListedJob[]> {
  const pending = await pendingList(settings);
  const since = looked.get(webhooks) ?? 0;
  const listed = await settings.askStore((store) => store.listed(pending, { since, most, first: "oldest" }));
  looked.set(webhooks, listed.length < most ? 0 : (listed.at(-1)?.since ?? 0) + 1);
  return listed;
}

/** Tells the app of jobs that are over and whose webhook never came. Answers how many were told. */
export async function settlePending(most: number, minAge: number, settings: Settings): Promise<number> {
  const { webhooks } = settings;
  if (webhooks === undefined) return 0;
  const pending = await pendingList(settings);
  const due = (await nextPending(most, webhooks, settings)).filter(({ since }) => since <= settings.now() - minAge);
  const told = await Promise.all(
    due.map(async ({ job, note: text }) => {
      const note = readNote(text);
      if (note === undefined) return false;
      try {
        const outcome = note.state === undefined ? await tell(note, webhooks, settings) : "over";
        if (outcome === "over")
          await settings.askStore((store) => store.mark(job, text, settings.timeouts.jobLease, [pending]));
        return outcome === "told";
      } catch (cause) {
        settings.log.error("a job whose webhook has not come could not be settled", cause);
        return false;
      }
    }),
  );
  return told.filter(Boolean).length;
}

/** `over`: fal no longer knows the job. */
async function tell(note: JobNote, webhooks: Webhooks, settings: Settings): Promise<"told" | "waits" | "over"> {
  const end = await readJob(note, mostBytes, settings);
  if (end === "unknown") return "over";
  if (end === undefined || !isOwn(end.status, end.failed)) return "waits";
  const delivery = {
    falRequestId: note.id,
    gatewayRequestId: note.id,
    result: toResult(end.status, end.body),
    origin: note,
    settle: () => settleEnd(note.id, end, settings),
  };
  return (await deliver(delivery, 0, webhooks, settings)) === "handled" ? "told" : "waits";
}

const sweepEvery = 60_000;
/** fal's own deliveries come first. Milliseconds. */
const patience = 2 * 60_000;
const fewJobs = 10;
const swept = new WeakMap<Webhooks, number>();

/** A new job is an occasion to look after those whose webhook is late, at most once a minute. */
export function sweepPending(door: Door, settings: Settings): void {
  const { webhooks } = settings;
  const now = settings.now();
  if (webhooks === undefined || Math.abs(now - (swept.get(webhooks) ?? 0)) < sweepEvery) return;
  swept.set(webhooks, now);
  door.waitUntil(
    settlePending(fewJobs, patience, settings).catch((cause: unknown) =>
      settings.log.error("jobs whose webhook is late could not be looked after", cause),
    ),
  );
}
