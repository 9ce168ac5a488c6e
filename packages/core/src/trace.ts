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

const namedHeaders = new WeakMap<Settings, Set<string>>();

export function createTrace(head: Head, settings: Settings): Trace {
  const started = settings.now();
  let id: string | undefined;
  let admitted = false;

  function emit(fields: (common: Common) => ObserveEvent): void {
    if (settings.observe === undefined) return;
    id ??= crypto.randomUUID();
    const { call, caller } = trace;
    const endpoint = call === undefined || call.endpoint === "" ? undefined : printable(call.endpoint);
    const failed = (cause: unknown): void => settings.log.error("observe failed", cause);
    try {
      const told: unknown = settings.observe(
        fields({
          id,
          time: settings.now(),
          method: head.method.slice(0, 20),
          kind: call?.kind ?? trace.route,
          endpoint,
          caller: caller?.hash,
        }),
      );
      if (told instanceof Promise) told.catch(failed);
    } catch (cause) {
      failed(cause);
    }
  }

  const trace: Trace = {
    call: undefined,
    caller: undefined,
    route: undefined,
    decided(outcome, status, code) {
      if (admitted) return;
      admitted = true;
      emit((common) => ({ ...common, type: "decision", outcome, status, code }));
    },
    finished(outcome, use, upstreamStatus, refusal) {
      const { status, bytesIn, bytesOut } = use;
      const ms = settings.now() - started;
      emit((common) => ({
        ...common,
        type: "call",
        outcome,
        status,
        upstreamStatus,
        code: refusal?.code,
        bytesIn,
        bytesOut,
        ms,
      }));
    },
    wouldRefuse(error) {
      settings.log.warn(`dryRun: would refuse with ${error.code}: ${error.message}`);
      emit((common) => ({
        ...common,
        type: "decision",
        outcome: "would-refuse",
        status: error.status,
        code: error.code,
      }));
    },
    delivered(outcome, fields) {
      emit((common) => ({ ...common, ...fields, type: "delivery", outcome }));
    },
    logError(error) {
      if (error.status < 500 && error.log === undefined) return;
      if (!isSparse(error.code) || isDue(settings, error.code))
        settings.log.error(`${error.code}: ${error.log ?? error.message}`, error.cause);
    },
    dropped(name) {
      const named = namedHeaders.get(settings) ?? new Set<string>();
      namedHeaders.set(settings, named);
      if (named.has(name) || named.size >= 100) return;
      named.add(name);
      settings.log.warn(
        `the header ${name.slice(0, 80)} did not cross to fal.ai; to let it, write forwardHeaders: ["${name.slice(0, 80)}"]`,
      );
    },
  };
  return trace;
}

/** As it stands in a URL, and not longer than a line: a caller chose it. */
function printable(endpoint: string): string {
  return endpoint.replace(/[^!-~]/gu, encodeURIComponent).slice(0, 200);
}

type DeliveryFields = Pick<DeliveryEvent, "reason" | "status" | "code" | "endpoint" | "caller">;
type Common = Pick<ObserveEvent, "id" | "time" | "method" | "kind" | "endpoint" | "caller">;
