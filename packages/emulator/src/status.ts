import { headerOf, type WholeAnswer } from "./answer.ts";
import { parseFields } from "./fields.ts";
import type { Job, LogEntry, Moment } from "./job.ts";

/** The three URLs of a job: `base` is the queue's origin, the app stands without its path (observed; fal-js builds the same). */
function urlsOf(job: Job, base: string): Record<"response_url" | "status_url" | "cancel_url", string> {
  const url = `${base}/${job.app}/requests/${job.id}`;
  return { response_url: url, status_url: `${url}/status`, cancel_url: `${url}/cancel` };
}

/** The submit answer, keys in the order seen on the live platform. */
export function toSubmitted(job: Job, moment: Moment, base: string): unknown {
  return {
    status: moment.status,
    request_id: job.id,
    ...urlsOf(job, base),
    logs: null,
    metrics: {},
    queue_position: moment.position,
  };
}

/** A status body, keys in the order of fal's queue documentation. `logs` is null when they were not asked for. */
export function toStatus(job: Job, moment: Moment, base: string, logs: readonly LogEntry[] | null): unknown {
  const { status, position } = moment;
  switch (status) {
    case "IN_QUEUE":
      return { status, request_id: job.id, queue_position: position, ...urlsOf(job, base) };
    case "IN_PROGRESS":
      return { status, request_id: job.id, ...urlsOf(job, base), logs, metrics: {} };
    case "COMPLETED":
      return { status, request_id: job.id, ...urlsOf(job, base), logs, metrics: metricsOf(job), ...failureOf(job) };
  }
}

/** `inference_time` in seconds; nothing for a job that never started. */
function metricsOf({ startedAt, endedAt }: Job): { inference_time?: number } {
  return startedAt === undefined || endedAt === undefined ? {} : { inference_time: (endedAt - startedAt) / 1000 };
}

function failureOf({ answer }: Job): { error?: string; error_type?: string } {
  if (answer === undefined || answer.status < 400) return {};
  const { detail, errorType } = readError(answer);
  return { error: detail ?? `Invalid status code: ${answer.status}`, error_type: errorType };
}

function readError(answer: WholeAnswer): { detail: string | undefined; errorType: string } {
  const body = parseFields(answer.body) ?? {};
  const detail = typeof body["detail"] === "string" ? body["detail"] : undefined;
  const first: unknown = Array.isArray(body["detail"]) ? body["detail"][0] : undefined;
  const type = typeof first === "object" && first !== null && "type" in first ? String(first.type) : undefined;
  const general = answer.status < 500 ? "bad_request" : "runner_server_error";
  return { detail, errorType: headerOf(answer.headers, "x-fal-error-type") ?? type ?? general };
}
