import { type AskedJob, askQueue } from "./job-queue.ts";
import type { Settings } from "./options.ts";
import type { UpstreamHead } from "./seam.ts";
import { isDue } from "./sparse.ts";
import { outcomeOfEnd, unitsOf } from "./rules/outcome.ts";
import { type Soon, andThen } from "./soon.ts";
import type { Account, HoldName, OpenJob, Outcome, Settled } from "./store.ts";
import { storeKey } from "./store-keys.ts";
import { type HeardState, stateIn } from "./tracker.ts";

/** Where a job came from. */
export interface JobOrigin {
  readonly endpoint: string;
  /** The caller's id as `authorize` gave it. */
  readonly caller: string;
  /** Whether the id stands for nobody in particular (`authorize: "public"`): see {@link nameOf}. */
  readonly isPublic: boolean;
  /** Whether the caller holds a sealed id. */
  readonly owned: boolean;
  /** When it was submitted, Unix time in milliseconds. */
  readonly at: number;
}

/** What is kept of a job with its hold: enough to ask fal.ai about it, and to say whose it was. */
export interface JobNote extends JobOrigin {
  /** fal's own id. */
  readonly id: string;
  readonly app: string;
  /** Whether it goes on when nobody asks about it: its result is delivered, or the app itself submitted it. */
  readonly kept?: boolean | undefined;
  /** How it came out, once that was delivered. */
  readonly state?: "OK" | "ERROR" | undefined;
}

/** Told of every settled call. */
export interface Spend {
  /** The caller's id as `authorize` gave it; undefined with `authorize: "public"`. */
  readonly caller: string | undefined;
  readonly endpoint: string | undefined;
  /** fal's own job id; undefined for calls that are no jobs. */
  readonly falRequestId: string | undefined;
  /** US dollars. */
  readonly usd: number;
}

/** Who the app is told a job is of: nobody, where its caller is known by an address alone. */
export function nameOf({ caller, isPublic }: Pick<JobOrigin, "caller" | "isPublic">): string | undefined {
  return isPublic ? undefined : caller;
}

/** Where a store finds a job. */
export function jobKey(falRequestId: string, settings: Settings): Soon<string> {
  return andThen(settings.hashes.once(`job ${falRequestId}`), (hash) => storeKey("job", hash));
}

export function readNote(text: string | null | undefined): JobNote | undefined {
  if (text === null || text === undefined) return undefined;
  const note: Partial<JobNote> = JSON.parse(text);
  const { id, app, endpoint, caller, at, isPublic = false, owned = true, kept, state } = note;
  if (id === undefined || app === undefined || endpoint === undefined || caller === undefined || at === undefined)
    return undefined;
  return { id, app, endpoint, caller, at, isPublic, owned, kept, state };
}

/** Charges or releases a hold and tells the app. A store that fails leaves the hold to be charged when it expires: then it answers false. */
export async function settleHold(
  name: HoldName,
  outcome: Outcome,
  settings: Settings,
  whose?: Omit<Spend, "usd">,
): Promise<boolean> {
  try {
    tell(await settings.askStore((store) => store.settle(name, outcome)), settings, whose);
    return true;
  } catch (cause) {
    if (isDue(settings, "settle"))
      settings.log.error("a call could not be settled; what it holds is charged when it expires", cause);
    return false;
  }
}

/** A job is over: its places are free, and a price by the second is known. */
export async function endJob(falRequestId: string, seconds: number | undefined, settings: Settings): Promise<void> {
  try {
    const key = await jobKey(falRequestId, settings);
    tell(await settings.askStore((store) => store.end(key, seconds)), settings, undefined);
  } catch (cause) {
    settings.log.error("the end of a job could not be noted; its place is free when it expires", cause);
  }
}

function tell(settled: Settled | null, settings: Settings, whose: Omit<Spend, "usd"> | undefined): void {
  if (settled === null || settings.onSpend === undefined) return;
  const note = readNote(settled.note);
  const known = whose ?? { caller: note && nameOf(note), endpoint: note?.endpoint, falRequestId: note?.id };
  try {
    settings.onSpend({ ...known, usd: settled.micros / 1e6 });
  } catch (cause) {
    settings.log.error("onSpend failed", cause);
  }
}

/**
 * Asks fal.ai about the oldest open jobs of an account and settles those that are over. Answers how many were. A job of the last
 * period may be open still, and then it stands in that period's account.
 */
export async function settleOpenJobs(
  accountAt: (time: number) => Account | Promise<Account>,
  most: number,
  settings: Settings,
): Promise<number> {
  const now = settings.now();
  const accounts = [await accountAt(now - settings.timeouts.jobLease), await accountAt(now)];
  const open: OpenJob[] = [];
  for (const key of new Set(accounts.map((account) => account.key)))
    if (open.length < most) open.push(...(await settings.askStore((store) => store.openJobs(key, most - open.length))));
  const notes = open.map(({ note }) => readNote(note)).filter((note) => note !== undefined);
  const settled = await Promise.all(notes.map((note) => settleJob(note, settings)));
  return settled.filter(Boolean).length;
}

/** What fal.ai says of a job that is over. */
export interface JobEnd {
  readonly status: number;
  readonly units: number | undefined;
  readonly body: Uint8Array;
  /** Whether the status names an error. */
  readonly failed: boolean;
  /** Undefined when the answer says nothing of the job. */
  readonly outcome: Outcome | undefined;
}

async function readStatus(
  job: AskedJob,
  settings: Settings,
): Promise<{ head: UpstreamHead; body: Uint8Array } & Partial<HeardState>> {
  const { head, body } = await askQueue(`/${job.app}/requests/${job.id}/status`, job, settings, longestStatus);
  return { head, body, ...stateIn(new TextDecoder("latin1").decode(body)) };
}

/** Asks for the seconds of inference of a job that is over; undefined where nobody tells. */
export async function secondsOf(job: AskedJob, settings: Settings): Promise<number | undefined> {
  try {
    return (await readStatus(job, settings)).seconds;
  } catch (cause) {
    settings.log.error("the seconds of a job could not be read, so all that was set aside is charged", cause);
    return undefined;
  }
}

/** Asks about a job; undefined while it is not over. `most`: how many bytes of its result are wanted. */
export async function readJob(
  job: AskedJob,
  most: number,
  settings: Settings,
): Promise<JobEnd | "unknown" | undefined> {
  const status = await readStatus(job, settings);
  if (status.head.status === 404) return "unknown";
  if (status.head.status !== 200 || status.state !== "COMPLETED") return undefined;
  const { head, body } = await askQueue(`/${job.app}/requests/${job.id}`, job, settings, most);
  const units = unitsOf(head);
  const failed = namesError(status.body);
  const unrun = (): boolean => status.seconds === undefined && settings.tracker.wasQueued(job.id);
  const outcome = outcomeOfEnd(head, failed, unrun);
  const whole = outcome === undefined || outcome === "release" ? outcome : { ...outcome, seconds: status.seconds };
  return { status: head.status, units, body, failed, outcome: whole };
}

/** Charges what fal.ai says of a job that is over, and gives its units. */
export async function settleEnd(id: string, end: JobEnd, settings: Settings): Promise<number | undefined> {
  settings.tracker.forget(id);
  if (end.outcome === undefined) await endJob(id, undefined, settings);
  else await settleHold({ job: await jobKey(id, settings) }, end.outcome, settings);
  return end.units;
}

const longestStatus = 16 * 1024 * 1024;

function namesError(status: Uint8Array): boolean {
  const fields: unknown = JSON.parse(new TextDecoder().decode(status));
  return typeof fields === "object" && fields !== null && "error" in fields && typeof fields.error === "string";
}

/** Asks about a job and settles it if it is over. True when its money is settled. */
export async function settleJob(job: AskedJob, settings: Settings): Promise<boolean> {
  try {
    const end = await readJob(job, 0, settings);
    if (end === undefined || end === "unknown") return false;
    await settleEnd(job.id, end, settings);
    return end.outcome !== undefined;
  } catch (cause) {
    settings.log.error("the state of a job could not be read", cause);
    return false;
  }
}
