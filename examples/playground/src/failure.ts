import { ApiError } from "@fal-ai/client";
import { createElement } from "./element.ts";

/** An error as a reader wants it. */
export interface Failure {
  /** HTTP status; undefined when nothing answered. */
  readonly status: number | undefined;
  /** Machine word: Keyway's `code` or fal's error type. */
  readonly code: string | undefined;
  readonly message: string;
  /** What is wrong with which field of the input. */
  readonly fields: readonly string[];
  readonly body: unknown;
  readonly requestId: string | undefined;
}

/** Reads what the client threw: Keyway's refusals, fal's error shapes, and everything else. */
export function toFailure(error: unknown): Failure {
  if (!(error instanceof ApiError)) {
    const message = error instanceof Error ? error.message : String(error);
    return { status: undefined, code: undefined, message, fields: [], body: undefined, requestId: undefined };
  }
  const body: Record<string, unknown> = typeof error.body === "object" && error.body !== null ? { ...error.body } : {};
  const text = (name: string): string | undefined => (typeof body[name] === "string" ? body[name] : undefined);
  const fields = Array.isArray(body["detail"]) ? body["detail"].map(toFieldError) : [];
  const general = fields.length > 0 ? "The input was not accepted." : error.message;
  return {
    status: error.status,
    code: text("code") ?? typeOf(body["detail"]) ?? (error.isUserTimeout ? "user_timeout" : text("error_type")),
    message: text("message") ?? text("detail") ?? general,
    fields,
    body: error.body,
    requestId: error.requestId === "" ? undefined : error.requestId,
  };
}

/** The type of the first thing that is wrong with an input. */
function typeOf(detail: unknown): string | undefined {
  const first: unknown = Array.isArray(detail) ? detail[0] : undefined;
  if (typeof first !== "object" || first === null || !("type" in first)) return undefined;
  return typeof first.type === "string" ? first.type : undefined;
}

function toFieldError(item: unknown): string {
  if (typeof item !== "object" || item === null) return String(item);
  const { loc, msg }: { loc?: unknown; msg?: unknown } = item;
  return Array.isArray(loc) ? `${loc.join(".")}: ${String(msg)}` : String(msg);
}

export function createFailureCard(failure: Failure): HTMLElement {
  const { status, code, message, fields, requestId } = failure;
  const title = createElement("p", { class: "failure-title" });
  if (status !== undefined) title.append(createElement("strong", {}, String(status)), " ");
  title.append(
    code === undefined ? (status === undefined ? "The call failed" : "Error") : createElement("code", {}, code),
  );
  const list = createElement("ul", {}, ...fields.map((field) => createElement("li", {}, field)));
  const id = createElement("p", { class: "hint" }, "Request ", createElement("code", {}, requestId));
  return createElement(
    "div",
    { class: "failure", role: "alert" },
    title,
    createElement("p", {}, message),
    fields.length > 0 ? list : undefined,
    requestId === undefined ? undefined : id,
  );
}
