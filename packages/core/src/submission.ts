import type { Call } from "./call.ts";

/** A job's two names: fal's own id, and what the caller knows it by (the same, where jobs are not sealed). */
export interface SealedJob {
  readonly from: string;
  readonly to: string;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
/** Keeps a byte order mark, so that a body comes out as it went in. */
const exactDecoder = new TextDecoder("utf-8", { ignoreBOM: true });
const requestIdSyntax = /^[A-Za-z0-9._~-]{1,200}$/;

/** The job id in a submit answer (fal docs, queue), undefined when there is none. */
export function readSubmission(body: Uint8Array): string | undefined {
  const { request_id: id } = parseFields(body);
  return typeof id === "string" && requestIdSyntax.test(id) ? id : undefined;
}

/** The submit answer as the caller gets it: the id sealed wherever it stands; in path form, the three URLs lead back to us. */
export function rewriteSubmission(body: Uint8Array, job: SealedJob, call: Call, base: string | undefined): Uint8Array {
  const ours = base === undefined ? body : rewriteUrls(body, `${base}/queue.fal.run/${call.app}/requests/${job.from}`);
  if (job.from === job.to) return ours;
  return encoder.encode(exactDecoder.decode(ours).replaceAll(job.from, job.to));
}

function rewriteUrls(body: Uint8Array, own: string): Uint8Array {
  const fields = parseFields(body);
  const urls: Readonly<Record<string, string>> = {
    status_url: `${own}/status`,
    response_url: own,
    cancel_url: `${own}/cancel`,
  };
  let bytes = body;
  for (const [name, url] of Object.entries(urls)) {
    const given = fields[name];
    if (typeof given !== "string") continue;
    const pair = new RegExp(`("${name}"\\s*:\\s*)${escapeForRegExp(JSON.stringify(given))}`);
    bytes = new TextEncoder().encode(
      new TextDecoder().decode(bytes).replace(pair, (_all, start: string) => start + JSON.stringify(url)),
    );
  }
  return bytes;
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

function parseFields(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(decoder.decode(body));
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}
