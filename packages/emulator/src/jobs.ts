import { setImmediate } from "node:timers/promises";
import { refusal, type WholeAnswer } from "./answer.ts";
import type { Clock } from "./clock.ts";
import { infrastructureError, userTimeout } from "./errors.ts";
import { createJob, momentOf, move, whenDone, type Job } from "./job.ts";
import type { Settings } from "./options.ts";

/** An accepted submit. */
interface Order {
  readonly id: string;
  readonly app: string;
  /** Milliseconds within which the job must have started, or undefined (`X-Fal-Request-Timeout`). */
  readonly startWithinMs: number | undefined;
  /** Does the job; must not reject. */
  readonly work: (job: Job) => Promise<WholeAnswer>;
}

/** The queue: accepts, starts in order, finishes, forgets. */
export interface Jobs {
  add(order: Order): Job;
  find(id: string): Job | undefined;
  /** How many jobs of an app are IN_QUEUE. */
  waiting(app: string): number;
  /** Tells that a status is about to be read; with `pace: "reads"` this is what moves the job on. */
  read(job: Job, signal: AbortSignal): Promise<void>;
  /** The same for a status stream that has told the present moment. */
  advance(job: Job): void;
  /** False when the job is already COMPLETED. */
  cancel(job: Job): boolean;
  /** Stops and forgets every job. */
  reset(): void;
}

interface Entry {
  readonly job: Job;
  /** Let go of once done, with the request's body. */
  work: Order["work"] | undefined;
  /** Whether its time in the queue is over, so that it starts when there is room. */
  due: boolean;
  reads: number;
  deadline: NodeJS.Timeout | undefined;
}

/** How many finished jobs are remembered; fal keeps results for 30 days, a process cannot. */
const remembered = 10_000;

export function createJobs(settings: Settings, clock: Clock): Jobs {
  const entries = new Map<string, Entry>();
  let queue: Entry[] = [];
  let running = 0;

  function start(entry: Entry): void {
    const { job, work } = entry;
    entry.work = undefined;
    queue = queue.filter((other) => other !== entry);
    clearTimeout(entry.deadline);
    running += 1;
    job.startedAt = clock.now();
    move(job, "IN_PROGRESS");
    tellPositions();
    void run(job, work).then((answer) => {
      running -= 1;
      finish(entry, answer);
      startDue();
    });
  }

  /** Works for the least running time at least, unless the job is stopped. Never rejects. */
  async function run(job: Job, work: Order["work"] | undefined): Promise<WholeAnswer> {
    await setImmediate(); // whoever reads the status now sees a job that has done nothing yet
    const least = clock.sleep(settings.runningMs, job.stop.signal).catch(() => undefined);
    try {
      const answer = await work?.(job);
      await least;
      return answer ?? refusal(500, "Internal Server Error");
    } catch {
      return refusal(500, "Internal Server Error");
    }
  }

  function finish({ job }: Entry, answer: WholeAnswer): void {
    job.answer = answer;
    job.endedAt = clock.now();
    move(job, "COMPLETED");
  }

  /** Ends a job that has not started. */
  function drop(entry: Entry, answer: WholeAnswer): void {
    entry.work = undefined;
    queue = queue.filter((other) => other !== entry);
    clearTimeout(entry.deadline);
    finish(entry, answer);
    tellPositions();
  }

  function startDue(): void {
    for (const entry of queue.filter(({ due }) => due)) {
      if (running >= settings.concurrency) return;
      start(entry);
    }
  }

  function tellPositions(): void {
    queue.forEach(({ job }, position) => move(job, "IN_QUEUE", position));
  }

  function wait(entry: Entry): void {
    clock.sleep(settings.queuedMs, entry.job.stop.signal).then(
      () => {
        entry.due = momentOf(entry.job).status === "IN_QUEUE";
        startDue();
      },
      () => undefined,
    );
  }

  return {
    add(order) {
      const job = createJob(order.id, order.app);
      const entry: Entry = { job, work: order.work, due: false, reads: 0, deadline: undefined };
      entries.set(order.id, entry);
      forget(entries);
      queue.push(entry);
      tellPositions();
      if (order.startWithinMs !== undefined) {
        entry.deadline = setTimeout(() => drop(entry, userTimeout()), order.startWithinMs);
      }
      if (settings.pace === "time") wait(entry);
      return job;
    },
    find: (id) => entries.get(id)?.job,
    waiting: (app) => queue.filter(({ job }) => job.app === app).length,
    async read(job, signal) {
      const entry = entries.get(job.id);
      if (settings.pace === "time" || entry === undefined) return;
      entry.reads += 1;
      const { status } = momentOf(job);
      if (status === "IN_PROGRESS") await whenDone(job, signal);
      else if (status === "IN_QUEUE" && entry.reads > 1) start(entry);
    },
    advance(job) {
      const entry = entries.get(job.id);
      if (settings.pace === "reads" && entry !== undefined && queue.includes(entry)) start(entry);
    },
    cancel(job) {
      const entry = entries.get(job.id);
      if (entry === undefined || momentOf(job).status === "COMPLETED") return false;
      const waiting = queue.includes(entry);
      job.stop.abort();
      if (waiting) drop(entry, infrastructureError("client_cancelled"));
      return true;
    },
    reset() {
      queue = [];
      for (const { job, deadline } of entries.values()) {
        clearTimeout(deadline);
        job.stop.abort();
      }
      entries.clear();
    },
  };
}

function forget(entries: Map<string, Entry>): void {
  if (entries.size <= remembered) return;
  for (const [id, { job }] of entries) {
    if (momentOf(job).status !== "COMPLETED") continue;
    entries.delete(id);
    return;
  }
}
