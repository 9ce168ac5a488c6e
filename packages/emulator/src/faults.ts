import { json, refusal, type Answer } from "./answer.ts";
import type { Call, CallKind } from "./call.ts";
import { namedError, namedErrors, type NamedError } from "./errors.ts";
import { reply } from "./reply.ts";
import { sessionFaults, type SessionFault } from "./session-fault.ts";

/** Something that is to go wrong. Without `status`, `body` and `error` the call is answered as usual, but as the rest says. */
export interface Fault {
  /** Which calls it meets; all of them without. `app` is `owner/alias` or a whole endpoint. */
  readonly match?: { readonly kind?: CallKind; readonly app?: string; readonly method?: string };
  /** How many calls it meets before it is used up. 1 by default. */
  readonly times?: number | "always";
  /** A documented error, complete with status, headers and body. */
  readonly error?: NamedError;
  /** Status, headers and body of the answer. `body`: a string goes out as it is, all else as JSON; `{detail}` by default. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** Wait before the head of the answer, in real milliseconds. */
  readonly delayMs?: number;
  /** The connection is destroyed after so many body bytes; 0 is right after the head. */
  readonly cutAfterBytes?: number;
  /** Nothing more is sent after so many body bytes, and the connection stays open. */
  readonly stallAfterBytes?: number;
  /** The connection is destroyed before any answer. */
  readonly drop?: boolean;
  /** Bytes that are not HTTP come instead of an answer. */
  readonly garbage?: boolean;
  /** Meets no call but a webhook delivery. */
  readonly delivery?: DeliveryFault;
  /** What goes wrong once a real-time connection stands; `cutAfterBytes` and `stallAfterBytes` are for HTTP answers. */
  readonly session?: SessionFault;
}

/** What is to go wrong with a webhook delivery. */
export interface DeliveryFault {
  /** Signed by a key that is not in the key set. */
  readonly signature?: "wrong";
  /** Signed right, for another account of this id. */
  readonly account?: string;
  /** Signed right, with a timestamp so many seconds old. */
  readonly lateSeconds?: number;
  /** So many at once in place of one. */
  readonly copies?: number;
  /** Its JSON is written anew after it was signed: the same value, other bytes. */
  readonly reserialised?: boolean;
  /** It is never sent. */
  readonly lost?: boolean;
}

/** The faults waiting to happen, first come first served. */
export interface Faults {
  /** Adds one; the returned function takes it back. */
  add(fault: Fault): () => void;
  clear(): void;
  readonly list: readonly Fault[];
}

export interface FaultSource extends Faults {
  /** The first fault that this call meets, used once. */
  take(call: Call, method: string): Fault | undefined;
  /** The first fault that a delivery for this app or endpoint meets, used once. */
  takeDelivery(app: string, endpoint: string): DeliveryFault | undefined;
}

export function createFaults(): FaultSource {
  let waiting: { readonly fault: Fault; left: number }[] = [];

  function use(entry: (typeof waiting)[number] | undefined): Fault | undefined {
    if (entry === undefined) return undefined;
    entry.left -= 1;
    if (entry.left <= 0) waiting = waiting.filter((other) => other !== entry);
    return entry.fault;
  }

  return {
    add(fault) {
      const entry = { fault, left: fault.times === "always" ? Infinity : (fault.times ?? 1) };
      waiting.push(entry);
      return () => {
        waiting = waiting.filter((other) => other !== entry);
      };
    },
    clear() {
      waiting = [];
    },
    get list() {
      return waiting.map(({ fault }) => fault);
    },
    take: (call, method) => use(waiting.find(({ fault }) => meets(fault, call, method))),
    takeDelivery: (app, endpoint) => use(waiting.find(({ fault }) => meetsDelivery(fault, app, endpoint)))?.delivery,
  };
}

/** The answer that a fault puts in place of the usual one, if it does. */
export function answerOf({ error, status, headers, body }: Fault): Answer | undefined {
  if (error === undefined && status === undefined && body === undefined) return undefined;
  const base = error === undefined ? refusal(status ?? 500, `Emulated fault ${status ?? 500}`) : namedError(error);
  const given = body === undefined ? base : typeof body === "string" ? reply({ body }) : json(200, body);
  const extra = Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  const kept = [...base.headers.filter(([name]) => name !== "content-type"), ...given.headers];
  const merged = body === undefined ? base.headers : kept;
  return {
    status: status ?? base.status,
    headers: [...merged.filter(([name]) => !extra.some(([other]) => other === name)), ...extra],
    body: given.body,
  };
}

/** Reads a fault from JSON, or says what is wrong with it. */
export function toFault(value: unknown): Fault | string {
  if (typeof value !== "object" || value === null) return "A fault is an object.";
  const unknown = Object.keys(value).find((key) => !(key in checks));
  if (unknown !== undefined) return `A fault has no ${unknown}; it has ${Object.keys(checks).join(", ")}.`;
  for (const [key, given] of Object.entries(value)) {
    if (checks[key]?.(given) === false) return `This is not a value for ${key}.`;
  }
  return value;
}

const checks: Readonly<Record<string, (value: unknown) => boolean>> = {
  match: isObject,
  times: (value) => value === "always" || isCount(value),
  error: (value) => namedErrors.some((name) => name === value),
  status: (value) => isCount(value) && Number(value) >= 200 && Number(value) <= 599,
  headers: (value) => isObject(value) && Object.values(value).every((line) => typeof line === "string"),
  body: () => true,
  delayMs: isCount,
  cutAfterBytes: isCount,
  stallAfterBytes: isCount,
  drop: (value) => typeof value === "boolean",
  garbage: (value) => typeof value === "boolean",
  delivery: isObject,
  session: isSessionFault,
};

function isSessionFault(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { afterResults = 0, happens, code = 1011, reason = "" }: Record<string, unknown> = { ...value };
  const isKnown = sessionFaults.some((name) => name === happens);
  return isCount(afterResults) && isKnown && isCloseCode(code) && typeof reason === "string";
}

/** What a close frame may carry (RFC 6455, section 7.4). */
function isCloseCode(value: unknown): boolean {
  const code = Number(value);
  return (
    isCount(value) && ((code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999))
  );
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function meetsDelivery({ match, delivery }: Fault, app: string, endpoint: string): boolean {
  return delivery !== undefined && (match?.app === undefined || match.app === app || match.app === endpoint);
}

function meets({ match, delivery }: Fault, call: Call, method: string): boolean {
  if (delivery !== undefined) return false;
  if (match?.kind !== undefined && match.kind !== call.kind) return false;
  if (match?.method !== undefined && match.method !== method) return false;
  return match?.app === undefined || match.app === call.app || match.app === call.endpoint;
}
