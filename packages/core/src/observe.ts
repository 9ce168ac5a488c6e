import type { Kind } from "./call.ts";
import type { ErrorCode } from "./errors.ts";
import { toHex } from "./hex.ts";
import type { Ending } from "./seam.ts";
import type { VerifyFailure } from "./webhooks/verify.ts";

interface Common {
  /** One id for all events of a call. */
  readonly id: string;
  /** Unix time in milliseconds. */
  readonly time: number;
  readonly method: string;
  /** Undefined when the target was not understood. */
  readonly kind: Kind | "jobs" | undefined;
  readonly endpoint: string | undefined;
  /** See `keyway.callerHash(id)`; undefined before the caller is known. */
  readonly caller: string | undefined;
}

/** A call was let through, or refused with a code and status. */
export interface DecisionEvent extends Common {
  readonly type: "decision";
  readonly outcome: "admitted" | "refused" | "answered" | "would-refuse";
  readonly code: ErrorCode | undefined;
  /** Status of our own answer; undefined when admitted. */
  readonly status: number | undefined;
}

/** An admitted call is over. */
export interface CallEvent extends Common {
  readonly type: "call";
  readonly outcome: Ending;
  /** What the caller got; undefined when he left before. */
  readonly status: number | undefined;
  /** What fal.ai answered. */
  readonly upstreamStatus: number | undefined;
  readonly code: ErrorCode | undefined;
  /** Bytes of request and answer bodies. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Milliseconds from the request to the end of the answer. */
  readonly ms: number;
}

/** Why a delivery was refused or taken for somebody else's. */
export type DeliveryReason =
  | VerifyFailure
  | "no_tag"
  | "wrong_tag"
  | "other_account"
  | "other_job"
  | "other_request"
  | "other_status";

/** A webhook delivery of fal's came in. */
export interface DeliveryEvent extends Common {
  readonly type: "delivery";
  readonly outcome: "handled" | "replayed" | "foreign" | "refused" | "failed";
  readonly reason: DeliveryReason | undefined;
  readonly code: ErrorCode | undefined;
  readonly status: number;
}

/**
 * What `observe` is told: fields are picked one by one, so no key, credential, cookie, body, prompt or query value is ever among
 * them.
 */
export type ObserveEvent = DecisionEvent | CallEvent | DeliveryEvent;

export type Observe = (event: ObserveEvent) => void;

/** Where the app's operator reads: one line per message. */
export interface Log {
  error(message: string, cause?: unknown): void;
  warn(message: string): void;
}

/** Writes to the console and takes the key out of whatever comes by. */
export function createLog(secrets: () => readonly string[]): Log {
  return {
    error: (message, cause) =>
      console.error(scrub(`[keyway] ${message}${cause === undefined ? "" : `: ${describe(cause)}`}`, secrets())),
    warn: (message) => console.warn(scrub(`[keyway] ${message}`, secrets())),
  };
}

/** Causes are followed a few steps only: one may be its own cause. */
function describe(cause: unknown, depth = 0): string {
  if (!(cause instanceof Error)) return typeof cause === "string" ? cause : `a thrown ${typeof cause}`;
  const code = "code" in cause && typeof cause.code === "string" ? ` (${cause.code})` : "";
  const inner = cause.cause === undefined || depth === 5 ? "" : `, because ${describe(cause.cause, depth + 1)}`;
  return `${cause.name}: ${cause.message}${code}${inner}`;
}

const unprintable = /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u2028\u2029]/g;
const longestLine = 2000;

/** The second line of defence: messages are picked without secrets, and then searched for them. */
export function scrub(text: string, secrets: readonly string[]): string {
  // What stands beyond the cut is not written, and half a secret at the cut is found by its runs.
  const clean = text.slice(0, 2 * longestLine).replace(unprintable, " ");
  const runs = new Set(secrets.flatMap(formsOf).flatMap(runsOf));
  return (runs.size === 0 ? clean : withoutRuns(clean, runs)).slice(0, longestLine);
}

/** So many characters of a secret in a row tell too much of it; fewer stand in ordinary words. */
const runLength = 8;

function runsOf(form: string): string[] {
  return Array.from({ length: Math.max(0, form.length - runLength + 1) }, (_, at) => form.slice(at, at + runLength));
}

function withoutRuns(text: string, runs: ReadonlySet<string>): string {
  let clean = "";
  let at = 0;
  while (at < text.length) {
    let end = at;
    while (runs.has(text.slice(end, end + runLength))) end += 1;
    if (end > at) {
      clean += "[redacted]";
      at = end + runLength - 1;
    } else {
      clean += text[at];
      at += 1;
    }
  }
  return clean;
}

/** A secret as it stands in texts: itself, in URLs, in hex, and in base64 wherever it begins there. */
function formsOf(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  const hex = toHex(bytes);
  const url = encodeURIComponent(secret);
  const base64 = [0, 1, 2].map((before) => toBase64(bytes, before));
  return [
    secret,
    url,
    url.replace(/%../g, (code) => code.toLowerCase()),
    hex,
    hex.toUpperCase(),
    ...base64,
    ...base64.map((form) => form.replaceAll("+", "-").replaceAll("/", "_")),
  ];
}

/** The characters that only the secret decides when so many bytes stand before it (RFC 4648, section 4). */
function toBase64(bytes: Uint8Array, before: number): string {
  const padded = new Uint8Array(before + bytes.length);
  padded.set(bytes, before);
  const text = btoa(String.fromCharCode(...padded)).replace(/=+$/, "");
  const isWhole = padded.length % 3 === 0;
  return text.slice(before === 0 ? 0 : before + 1, isWhole ? undefined : -1);
}
