import type { Call } from "./call.ts";
import type { ErrorCode, ProxyError } from "./errors.ts";
import type { Head } from "./head.ts";
import type { DeliveryEvent, ObserveEvent } from "./observe.ts";
import type { Settings } from "./options.ts";
import { isDue, isSparse } from "./sparse.ts";
import type { KnownCaller } from "./rules/caller.ts";
import type { Ending, Use } from "./seam.ts";

/** Follows one call for `observe` and the log. */
export interface Trace {
  call: Call | undefined;
  caller: KnownCaller | undefined;
  /** A route of our own, in place of a call. */
  route: "jobs" | undefined;
  decided(outcome: "admitted" | "refused" | "answered", status: number | undefined, code: ErrorCode | undefined): void;
  finished(ending: Ending, use: Use, upstreamStatus: number | undefined, refusal: ProxyError | undefined): void;
  /** A refusal that `dryRun` let pass. */
  wouldRefuse(error: ProxyError): void;
  /** A delivery was answered. */
  delivered(outcome: DeliveryEvent["outcome"], rest: DeliveryFields): void;
  /** Logs what the operator must know of an error; the caller never sees it. */
  logError(error: ProxyError): void;
  /** A header that did not cross: named once, with the line to write. */
  dropped(name: string): void;
}

export function createTrace(head: Head, settings: Settings): Trace {
  return new CallTrace(head, settings);
}

/** A class, because every call makes one, and one with closures is eight objects more. */
class CallTrace implements Trace {
  call: Call | undefined = undefined;
  caller: KnownCaller | undefined = undefined;
  route: "jobs" | undefined = undefined;
  readonly #settings: Settings;
  readonly #started: number;
  /** Of the head only this: a trace lives as long as its socket. */
  readonly #method: string;
  #id: string | undefined = undefined;
  #isDecided = false;

  constructor({ method }: Head, settings: Settings) {
    this.#settings = settings;
    this.#started = settings.now();
    this.#method = method.slice(0, 20);
  }

  decided(...[outcome, status, code]: Parameters<Trace["decided"]>): void {
    if (this.#isDecided) return;
    this.#isDecided = true;
    this.#emit({ type: "decision", outcome, status, code });
  }

  finished(...[outcome, use, upstreamStatus, refusal]: Parameters<Trace["finished"]>): void {
    const { status, bytesIn, bytesOut } = use;
    const ms = this.#settings.now() - this.#started;
    this.#emit({ type: "call", outcome, status, upstreamStatus, code: refusal?.code, bytesIn, bytesOut, ms });
  }

  wouldRefuse({ code, status, message }: ProxyError): void {
    this.#settings.log.warn(`dryRun: would refuse with ${code}: ${message}`);
    this.#emit({ type: "decision", outcome: "would-refuse", status, code });
  }

  delivered(outcome: DeliveryEvent["outcome"], fields: DeliveryFields): void {
    this.#emit({ ...fields, type: "delivery", outcome });
  }

  logError(error: ProxyError): void {
    if (error.status < 500 && error.log === undefined) return;
    const { log } = this.#settings;
    if (!isSparse(error.code) || isDue(this.#settings, error.code))
      log.error(`${error.code}: ${error.log ?? error.message}`, error.cause);
  }

  dropped(name: string): void {
    const { droppedHeaders, log } = this.#settings;
    if (droppedHeaders.has(name) || droppedHeaders.size >= 100) return;
    droppedHeaders.add(name);
    log.warn(
      `the header ${name.slice(0, 80)} did not cross to fal.ai; to let it, write forwardHeaders: ["${name.slice(0, 80)}"]`,
    );
  }

  #emit(fields: Emitted): void {
    const settings = this.#settings;
    const { observe, log } = settings;
    if (observe === undefined) return;
    this.#id ??= crypto.randomUUID();
    const { call, caller } = this;
    const common: Common = {
      id: this.#id,
      time: settings.now(),
      method: this.#method,
      kind: call?.kind ?? this.route,
      endpoint: call === undefined || call.endpoint === "" ? undefined : printable(call.endpoint),
      caller: caller?.hash,
    };
    const failed = (cause: unknown): void => log.error("observe failed", cause);
    try {
      const told: unknown = observe({ ...common, ...fields });
      if (told instanceof Promise) told.catch(failed);
    } catch (cause) {
      failed(cause);
    }
  }
}

/** As it stands in a URL, and not longer than a line: a caller chose it. */
function printable(endpoint: string): string {
  return endpoint.replace(/[^!-~]/gu, encodeURIComponent).slice(0, 200);
}

type DeliveryFields = Pick<DeliveryEvent, "reason" | "status" | "code" | "endpoint" | "caller">;
type Common = Pick<ObserveEvent, "id" | "time" | "method" | "kind" | "endpoint" | "caller">;
type Own<Event> = Event extends ObserveEvent ? Omit<Event, keyof Common> & Partial<Common> : never;
/** What an event tells beside what all of them do. */
type Emitted = Own<ObserveEvent>;
