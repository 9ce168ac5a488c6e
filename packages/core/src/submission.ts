import type { Call } from "./call.ts";

/** A job's two names: fal's own id, and what the caller knows it by (the same, where jobs are not sealed). */
export interface SealedJob {
  readonly from: string;
  readonly to: string;
}

/** A submit answer that names its job. */
export interface Submission {
  readonly id: string;
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const encoder = new TextEncoder();
/** Keeps a byte order mark, so that a body comes out as it went in. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** Shorter than what callers may send (call.ts), because sealing makes an id 23 characters longer. */
const requestIdSyntax = /^[A-Za-z0-9._~-]{1,200}$/;

/** Reads the job id in a submit answer (fal docs, queue); undefined when there is none. */
export function readSubmission(body: Uint8Array): Submission | undefined {
  try {
    const text = decoder.decode(body);
    const fields: unknown = JSON.parse(text.replace(/^\uFEFF/, ""));
    if (!isRecord(fields)) return undefined;
    const { request_id: id } = fields;
    return typeof id === "string" && requestIdSyntax.test(id) ? { id, text, fields } : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** The submit answer as the caller gets it: the id sealed wherever it stands; in path form, the three URLs lead back to us. */
export function rewriteSubmission(
  answer: Submission,
  job: SealedJob,
  call: Call,
  base: string | undefined,
): Uint8Array {
  const ours =
    base === undefined ? answer.text : rewriteUrls(answer, `${base}/queue.fal.run/${call.app}/requests/${job.from}`);
  return encoder.encode(job.from === job.to ? ours : ours.replaceAll(job.from, job.to));
}

function rewriteUrls({ text, fields }: Submission, own: string): string {
  const urls: Readonly<Record<string, string>> = {
    status_url: `${own}/status`,
    response_url: own,
    cancel_url: `${own}/cancel`,
  };
  let rewritten = text;
  for (const [name, url] of Object.entries(urls)) {
    const given = fields[name];
    if (typeof given !== "string") continue;
    const pair = new RegExp(`("${name}"\\s*:\\s*)${escapeForRegExp(JSON.stringify(given))}`);
    rewritten = rewritten.replace(pair, (_all, start: string) => start + JSON.stringify(url));
  }
  return rewritten;
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
