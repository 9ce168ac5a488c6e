import { refusal, json, type WholeAnswer, type Answer } from "./answer.ts";
import { infrastructureError, validationError } from "./errors.ts";
import { isReply } from "./reply.ts";

/** Severity of a log entry (fal-js 1.10.1, `RequestLog`). */
export type LogLevel = "STDERR" | "STDOUT" | "ERROR" | "INFO" | "WARN" | "DEBUG";

/** What an app can do besides answering. */
export interface AppContext {
  /** The job's id; on direct calls the value of `x-fal-request-id`. */
  readonly requestId: string;
  /** As called, path included, such as `fal-ai/flux/dev`. */
  readonly endpoint: string;
  /** How it was called. */
  readonly kind: "run" | "stream" | "submit" | "realtime";
  /** Fires when the job is cancelled, when the caller of a direct call has left, and when the emulator closes. */
  readonly signal: AbortSignal;
  /** Adds a line to the job's log. Direct calls have no log. */
  log(message: string, level?: LogLevel): void;
  /** Sends an event (stream) or a frame (realtime) before the output; does nothing elsewhere. Resolves when it is on its way. */
  emit(event: unknown): Promise<void>;
  /** Waits `ms` milliseconds times the emulator's `timeScale`. Rejects when `signal` fires, and so ends the app. */
  sleep(ms: number): Promise<void>;
  /** Milliseconds since the epoch, by the emulator's clock. */
  now(): number;
  /** Sets `x-fal-billable-units` of the result; without it the header is missing, as with fal apps that set none. */
  setUnits(units: number): void;
  /** Keeps a file on the emulated CDN and gives its public URL. The same bytes get the same URL. */
  saveFile(bytes: Uint8Array, contentType: string): string;
}

/**
 * An app: input in, output out. The output is sent as JSON; on streams and sockets an output of `undefined` sends nothing.
 * The input is whatever JSON the caller sent, `{}` without a body: its type here is a claim, not a check.
 */
export type App<Input = unknown> = (input: Input, context: AppContext) => unknown;

/** What became of one call of an app. */
export type Outcome =
  | { readonly kind: "output"; readonly value: unknown }
  | { readonly kind: "answer"; readonly answer: Answer };

/** Calls an app and never throws: its mistakes become the answers that fal's app framework gives. */
export async function invoke(app: App, input: unknown, context: AppContext): Promise<Outcome> {
  try {
    const value = await app(input, context);
    return isReply(value) ? { kind: "answer", answer: value } : { kind: "output", value };
  } catch (thrown) {
    if (isReply(thrown)) return { kind: "answer", answer: thrown };
    if (context.signal.aborted) return { kind: "answer", answer: infrastructureError("client_cancelled") };
    context.log(thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : String(thrown), "ERROR");
    return { kind: "answer", answer: refusal(500, "Internal Server Error") };
  }
}

/** The HTTP answer of an outcome. `units` is what the app set. */
export function toAnswer(outcome: Outcome, units: number | undefined): Answer {
  const answer = outcome.kind === "answer" ? outcome.answer : toJson(outcome.value);
  const billed = answer.status === 404 || answer.status === 422 ? 0 : units;
  if (billed === undefined || answer.headers.some(([name]) => name === "x-fal-billable-units")) return answer;
  return { ...answer, headers: [...answer.headers, ["x-fal-billable-units", toUnits(billed)]] };
}

/** Parses a JSON body; an absent one is `{}`. A broken one is the app framework's 422. */
export function toInput(body: Uint8Array): { readonly input: unknown } | { readonly refused: WholeAnswer } {
  if (body.length === 0) return { input: {} };
  try {
    return { input: JSON.parse(Buffer.from(body).toString("utf8")) };
  } catch {
    const issue = { loc: ["body", 0], msg: "JSON decode error", type: "json_invalid", input: {} };
    return { refused: validationError([issue]) };
  }
}

function toJson(value: unknown): WholeAnswer {
  try {
    return json(200, value);
  } catch {
    return refusal(500, "Internal Server Error"); // an output that JSON cannot hold
  }
}

/** `1.0`, `2.5`: always with a decimal point, as fal writes it. */
function toUnits(units: number): string {
  return units === 0 ? "0" : Number.isInteger(units) ? units.toFixed(1) : String(units);
}
