import { resolveKey } from "./api-key.ts";
import { collectStream } from "./body-stream.ts";
import type { JobNote } from "./job.ts";
import type { Settings } from "./options.ts";
import type { UpstreamHead } from "./seam.ts";
import { createFetchSender } from "./sender.ts";

const sender = createFetchSender();
/** What is asked about a job with. */
export type AskedJob = Pick<JobNote, "id" | "app" | "caller">;

const patience = 10_000;

/** One GET to fal's queue in the app's own name; the body is read only where it is wanted, up to so many bytes. */
export async function askQueue(
  path: string,
  note: AskedJob,
  settings: Settings,
  most: number,
): Promise<{ head: UpstreamHead; body: Uint8Array }> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), patience);
  try {
    const answer = await sender.send(await queueRequest("GET", path, note.caller, settings), null, abort.signal);
    const body = most > 0 ? await collectStream(answer.body, { maxBytes: most, within: patience }) : new Uint8Array(0);
    return { head: answer, body };
  } finally {
    clearTimeout(timer);
    abort.abort();
  }
}

/** Cancels a job in the app's own name. */
export async function cancelJob(note: AskedJob, settings: Settings): Promise<void> {
  const request = await queueRequest("PUT", `/${note.app}/requests/${note.id}/cancel`, note.caller, settings);
  const answer = await sender.send(request, null, AbortSignal.timeout(patience));
  if (answer.body instanceof ReadableStream) await answer.body.cancel();
}

async function queueRequest(
  method: "GET" | "PUT",
  path: string,
  caller: string,
  settings: Settings,
): Promise<Parameters<typeof sender.send>[0]> {
  const { upstream, apiKey, timeouts } = settings;
  const key = await resolveKey(apiKey, { id: caller });
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
