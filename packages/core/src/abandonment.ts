import { cancelJob } from "./job-queue.ts";
import { type JobNote, jobKey, readNote } from "./job.ts";
import type { Settings } from "./options.ts";

type SeenJob = Pick<JobNote, "id" | "app" | "caller">;

/** Cancels jobs that nobody asks about any more. */
export interface Abandonment {
  /** A caller asked about a job, or submitted it. */
  seen(note: SeenJob): void;
  /** A caller still listens to a job that was seen before and is not over. */
  again(falRequestId: string): void;
  over(falRequestId: string): void;
  close(): void;
}

/**
 * A job whose last read is older than `after` milliseconds is cancelled once, also when several processes share a store: each leaves
 * word of the reads that it saw, at most three times in that span. A job that is kept goes on: someone else than its caller waits for it.
 */
export function createAbandonment(after: number, settings: () => Settings): Abandonment {
  const jobs = new Map<string, { note: SeenJob; at: number; told: number }>();
  let timer: ReturnType<typeof setInterval> | undefined;

  function tellOthers(id: string, at: number): void {
    const known = settings();
    seenKey(id, known)
      .then((key) => known.askStore((store) => store.put(key, String(at), 2 * after)))
      .catch((cause: unknown) => known.log.error("a read of a job could not be noted", cause));
  }

  function look(): void {
    const stale = settings().now() - after;
    for (const [id, { note, at }] of jobs) {
      if (at > stale) continue;
      jobs.delete(id);
      cancelOnce(note, at, settings()).catch((cause: unknown) =>
        settings().log.error("an abandoned job could not be cancelled", cause),
      );
    }
    if (jobs.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  function see(note: SeenJob): void {
    const now = settings().now();
    const known = jobs.get(note.id);
    const told = known !== undefined && now - known.told < after / 3 ? known.told : now;
    jobs.set(note.id, { note, at: now, told });
    if (told === now) tellOthers(note.id, now);
    timer ??= setInterval(look, Math.max(50, after / 10));
    letExit(timer);
  }

  return {
    seen: see,
    again(id) {
      const known = jobs.get(id);
      if (known !== undefined) see(known.note);
    },
    over: (id) => void jobs.delete(id),
    close: () => clearInterval(timer),
  };
}

/** Where a timer could keep the process alive, this one does not. */
function letExit(timer: unknown): void {
  if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function")
    timer.unref();
}

async function seenKey(id: string, settings: Settings): Promise<string> {
  return toSeenKey(await jobKey(id, settings));
}

function toSeenKey(job: string): string {
  return `${job}:seen`;
}

const day = 24 * 3_600_000;

async function cancelOnce(note: SeenJob, at: number, settings: Settings): Promise<void> {
  const job = await jobKey(note.id, settings);
  const key = toSeenKey(job);
  const last = await settings.askStore((store) => store.get(key));
  if (last !== null && Number(last) > at) return;
  if (readNote(await settings.askStore((store) => store.get(job)))?.kept === true) return;
  const cancelled = `${key}:cancelled`;
  if (!(await settings.askStore((store) => store.claim(cancelled, day)))) return;
  await cancelJob(note, settings);
  await settings.askStore((store) => store.put(cancelled, "done", day, true));
}
