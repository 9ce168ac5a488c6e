import { empty, json, refusal, toBytes, type HeaderLine, type WholeAnswer } from "./answer.ts";

/** A value of `X-Fal-Error-Type` (fal docs, request errors; the last one is observed). */
export type InfrastructureError =
  | "request_timeout"
  | "startup_timeout"
  | "runner_scheduling_failure"
  | "runner_connection_timeout"
  | "runner_disconnected"
  | "runner_connection_refused"
  | "runner_connection_error"
  | "runner_incomplete_response"
  | "runner_server_error"
  | "client_disconnected"
  | "client_cancelled"
  | "bad_request"
  | "internal_error"
  | "concurrent_requests_limit";

/** Status and text by type. */
const infrastructure: Readonly<Record<InfrastructureError, readonly [status: number, text: string]>> = {
  request_timeout: [504, "Request timed out"],
  startup_timeout: [504, "Runner did not start in time"],
  runner_scheduling_failure: [503, "No runner could be scheduled"],
  runner_connection_timeout: [503, "Connection to the runner timed out"],
  runner_disconnected: [503, "The runner disconnected"],
  runner_connection_refused: [503, "The runner refused the connection"],
  runner_connection_error: [503, "The runner could not be reached"],
  runner_incomplete_response: [502, "The runner sent an incomplete response"],
  runner_server_error: [500, "Internal Server Error"],
  client_disconnected: [499, "The client disconnected"],
  client_cancelled: [499, "Request was cancelled"],
  bad_request: [400, "Bad request"],
  internal_error: [500, "Internal error"],
  concurrent_requests_limit: [429, "Too many concurrent requests"],
};

/** An error answer that can be asked for by name. */
export type NamedError = InfrastructureError | "user_timeout" | "validation" | "locked" | "html" | "empty";

const infrastructureErrors: readonly InfrastructureError[] = Object.keys(infrastructure) as InfrastructureError[];
export const namedErrors: readonly NamedError[] = [
  ...infrastructureErrors,
  "user_timeout",
  "validation",
  "locked",
  "html",
  "empty",
];

/** `{"detail", "error_type"}` with the type in a header too (fal docs, request errors). */
export function infrastructureError(type: InfrastructureError, extra: readonly HeaderLine[] = []): WholeAnswer {
  const [status, detail] = infrastructure[type];
  const retry: readonly HeaderLine[] = type === "concurrent_requests_limit" ? [["x-fal-needs-retry", "1"]] : [];
  return json(status, { detail, error_type: type }, [["x-fal-error-type", type], ...retry, ...extra]);
}

/** What a passed start deadline answers: 504 that clients never repeat (fal-js, `ApiError.isUserTimeout`). */
export function userTimeout(): WholeAnswer {
  return infrastructureError("request_timeout", [["x-fal-request-timeout-type", "user"]]);
}

/** One entry of a validation error. */
export interface Issue {
  readonly loc: readonly (string | number)[];
  readonly msg: string;
  /** The machine word, such as `missing` or `content_policy_violation`. */
  readonly type: string;
  readonly ctx?: Readonly<Record<string, unknown>>;
  readonly input?: unknown;
}

/** 422 with a list in `detail`; not billed (fal docs, errors). */
export function validationError(issues: readonly Issue[], status = 422): WholeAnswer {
  const detail = issues.map(({ loc, msg, type, ...rest }) => ({
    loc,
    msg,
    type,
    url: `https://docs.fal.ai/errors#${type}`,
    ...rest,
  }));
  return json(status, { detail }, [["x-fal-billable-units", "0"]]);
}

/** The answer behind a name, as fal is known to send it. */
export function namedError(name: NamedError): WholeAnswer {
  return isInfrastructure(name) ? infrastructureError(name) : others[name]();
}

const others: Readonly<Record<Exclude<NamedError, InfrastructureError>, () => WholeAnswer>> = {
  user_timeout: userTimeout,
  validation: () => validationError([{ loc: ["body", "prompt"], msg: "Field required", type: "missing", input: {} }]),
  locked: () =>
    refusal(403, "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing."),
  html: () => ({
    status: 502,
    headers: [["content-type", "text/html"]],
    body: toBytes("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"),
  }),
  empty: () => empty(500),
};

function isInfrastructure(name: NamedError): name is InfrastructureError {
  return name in infrastructure;
}

export function unknownApplication(alias: string): WholeAnswer {
  return refusal(404, `Application "${alias}" not found`);
}
