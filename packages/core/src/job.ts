import { resolveKey } from "./api-key.ts";
import { valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { isDue } from "./sparse.ts";
import { outcomeOf } from "./rules/limits.ts";
import type { UpstreamHead } from "./seam.ts";
import { createFetchSender } from "./sender.ts";
import type { Account, HoldName, OpenJob, Outcome, Settled } from "./store.ts";
import { stateIn } from "./tracker.ts";

/** What is kept of a job with its hold: enough to ask fal.ai about it, and to say whose it was. */
export interface JobNote {
  /** fal's own id. */
  readonly id: string;
  readonly app: string;
  readonly endpoint: string;
  /** The caller's id as `authorize` gave it. */
  readonly caller: string;
  readonly at: number;
}

/** Told of every settled call. */
export interface Spend {
  /** The caller's id; undefined where the call was anonymous. */
  readonly caller: string | undefined;
  readonly endpoint: string | undefined;
  /** fal's own job id; undefined for calls that are no jobs. */
  readonly falRequestId: string | undefined;
  /** US dollars. */
  readonly usd: number;
}

/** Where a store finds a job. */
export async function jobKey(falRequestId: string, settings: Settings): Promise<string> {
  return `keyway:2:job:${await settings.hashes.once(`job ${falRequestId}`)}`;
}

export function readNote(text: string | null | undefined): JobNote | undefined {
  if (text === null || text === undefined) return undefined;
  const note: Partial<JobNote> = JSON.parse(text);
  const { id, app, endpoint, caller, at } = note;
  if (id === undefined || app === undefined || endpoint === undefined || caller === undefined || at === undefined)
    return undefined;
  return { id, app, endpoint, caller, at };
}

/** Charges or releases a hold and tells the app. A store that fails leaves the hold to be charged when it expires. */
export async function settleHold(
  name: HoldName,
  outcome: Outcome,
  settings: Settings,
  whose?: Omit<Spend, "usd">,
): Promise<void> {
  try {
    tell(await settings.askStore((store) => store.settle(name, outcome)), settings, whose);
  } catch (cause) {
    if (isDue(settings, "settle"))
      settings.log.error("a call could not be settled; what it holds is charged when it expires", cause);
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
  const known = whose ?? { caller: note?.caller, endpoint: note?.endpoint, falRequestId: note?.id };
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
  const settled = await Promise.all(open.map(({ job, note }) => settleJob(job, readNote(note), settings)));
  return settled.filter(Boolean).length;
}

async function settleJob(job: string, note: JobNote | undefined, settings: Settings): Promise<boolean> {
  if (note === undefined) return false;
  try {
    const base = `/${note.app}/requests/${note.id}`;
    const status = await askUpstream(`${base}/status`, note, settings, true);
    const { state, seconds } = stateIn(status.body) ?? {};
    if (status.head.status !== 200 || state !== "COMPLETED") return false;
    const { head } = await askUpstream(base, note, settings, false);
    const outcome = outcomeOf("result", head.status, unitsOf(head), settings.tracker.wasQueued(note.id));
    if (outcome === undefined) return false;
    const whole = outcome === "release" ? outcome : { ...outcome, seconds };
    await settleHold({ job }, whole, settings);
    return true;
  } catch (cause) {
    settings.log.error("the state of a job could not be read", cause);
    return false;
  }
}

/** fal's billable units of an answer, undefined when it names none. */
export function unitsOf({ headers }: UpstreamHead): number | undefined {
  const text = valueOf(headers, "x-fal-billable-units");
  const units = Number(text);
  return text !== undefined && text !== "" && Number.isFinite(units) && units >= 0 ? units : undefined;
}

const sender = createFetchSender();
const patience = 10_000;

/** One GET to fal's queue in the app's own name; the body is read only where it is wanted. */
async function askUpstream(
  path: string,
  note: JobNote,
  settings: Settings,
  read: boolean,
): Promise<{ head: UpstreamHead; body: Uint8Array }> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  try {
    const answer = await sender.send(await queueRequest("GET", path, note.caller, settings), null, abort.signal);
    const body =
      read && answer.body !== null ? new Uint8Array(await new Response(answer.body).arrayBuffer()) : new Uint8Array(0);
    return { head: answer, body };
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** Cancels a job in the app's own name. */
export async function cancelJob(note: JobNote, settings: Settings): Promise<void> {
  const request = await queueRequest("PUT", `/${note.app}/requests/${note.id}/cancel`, note.caller, settings);
  const answer = await sender.send(request, null, AbortSignal.timeout(patience));
  await answer.body?.cancel();
}

async function queueRequest(
  method: "GET" | "PUT",
  path: string,
  caller: string,
  settings: Settings,
): Promise<Parameters<typeof sender.send>[0]> {
  const { upstream, apiKey, timeouts } = settings;
  const key = await resolveKey(apiKey, { id: caller, hash: "", isPublic: false, group: undefined });
  return {
    method,
    origin: upstream?.origin ?? "https://queue.fal.run",
    path: upstream === undefined ? path : `${upstream.prefix}/queue.fal.run${path}`,
    headers: [
      ["accept", "application/json"],
      ["accept-encoding", "identity"],
      ["authorization", `Key ${key}`],
    ],
    body: null,
    maxBodyBytes: 0,
    repeatable: method === "GET",
    timeouts: { connect: timeouts.connect, head: timeouts.head, idle: timeouts.idle, body: timeouts.callerBody },
  };
}
