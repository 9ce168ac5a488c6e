import { jsonAnswer } from "./answer.ts";
import { ProxyError } from "./errors.ts";
import { readNote } from "./job.ts";
import type { Settings } from "./options.ts";
import { type AskedCall, identifyCaller } from "./rules/caller.ts";
import { checkOrigin } from "./rules/origin.ts";
import type { Answer, Door } from "./seam.ts";
import type { Trace } from "./trace.ts";
import { heldId } from "./webhooks/deliver.ts";

/** One of a caller's own jobs, as `GET <mount>/~keyway/jobs` lists it. */
export interface OwnJob {
  /** As the caller holds it. */
  readonly requestId: string;
  readonly endpoint: string;
  /** Unix time in milliseconds. */
  readonly submittedAt: number;
  /** How it came out, as its webhook said; `OPEN` until then. */
  readonly status: "OPEN" | "OK" | "ERROR";
}

/** Answers what stands below `<mount>/~keyway/`. */
export async function answerOwnRoute(route: string, door: Door, settings: Settings, trace: Trace): Promise<Answer> {
  // Some hosts, such as Next with trailingSlash, end every path with a slash.
  if (route !== "/jobs" && route !== "/jobs/") throw new ProxyError("route_not_found");
  trace.route = "jobs";
  const { head } = door;
  if (head.method !== "GET" || head.upgrade)
    throw new ProxyError("method_refused", { message: "The list of jobs takes GET.", headers: [["allow", "GET"]] });
  checkOrigin(head, "own", settings);
  const since = readSince(head.query);
  const call: AskedCall = { kind: "jobs", method: head.method, host: "queue.fal.run", endpoint: "", app: "" };
  const { caller, setCookie } = await identifyCaller(door, call, settings);
  trace.caller = caller;
  if (caller.isPublic)
    throw new ProxyError("denied", { message: "Jobs belong to nobody here: the app does not ask who calls." });
  settings.polls.take(`jobs of ${caller.hash}`);
  const answer = jsonAnswer(200, { jobs: await jobsOf(caller.jobs, since, settings) }, head, settings);
  return setCookie === undefined ? answer : { ...answer, headers: [...answer.headers, ["set-cookie", setCookie]] };
}

const mostListed = 100;

/** The newest first. */
async function jobsOf(list: string, since: number, settings: Settings): Promise<OwnJob[]> {
  const listed = await settings.askStore((store) => store.listed(list, { since, most: mostListed, first: "newest" }));
  const notes = listed.map(({ note }) => readNote(note)).filter((note) => note !== undefined);
  return Promise.all(
    notes.map(async (note) => ({
      requestId: await heldId(note.id, note, settings),
      endpoint: note.endpoint,
      submittedAt: note.at,
      status: note.state ?? "OPEN",
    })),
  );
}

function readSince(query: string | null): number {
  const parameters = new URLSearchParams(query ?? "");
  const text = parameters.get("since") ?? "0";
  if ([...parameters].some(([name]) => name !== "since") || !/^\d{1,16}$/.test(text))
    throw new ProxyError("query_refused", { message: "The list of jobs takes since=<Unix time in milliseconds>." });
  return Number(text);
}
