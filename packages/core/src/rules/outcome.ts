import type { Kind } from "../call.ts";
import { valueOf } from "../head.ts";
import type { Ending, UpstreamHead } from "../seam.ts";
import type { Hold, Outcome } from "../store.ts";
import { type Micros, unitsCost } from "./price.ts";

/** What fal's gateway answers for itself, when it does not let a call through: nothing ran. */
const refusals: readonly number[] = [401, 403, 404, 405, 429];
/** What a gateway answers in place of a server that does not answer in time. */
const troubles: readonly number[] = [502, 503, 504];

/** Whether an answer to a question about a job may be the gateway's own, which says nothing of the job. */
export function isGateways(status: number): boolean {
  return refusals.includes(status) || troubles.includes(status);
}

/** Whether the answer to the result of a job that is over is the job's own. Where its status names an error, only keys and rates are in between. */
export function isOwn(status: number, failed: boolean): boolean {
  return failed ? ![401, 403, 429].includes(status) : !isGateways(status);
}

/**
 * What a call came to that has ended; undefined when that does not end what it belongs to: a submit's job goes on, and a result may
 * be asked for again. `unrun` tells whether the job never left the queue.
 */
export function outcomeOf(
  kind: Kind,
  ending: Ending,
  upstream: UpstreamHead | undefined,
  unrun: () => boolean,
): Outcome | undefined {
  if (ending === "unsent") return kind === "result" ? undefined : "release";
  // It may have run, so it is charged whole; a submit may have become a job, which its lease charges. No socket is open.
  if (upstream === undefined && kind === "realtime") return "release";
  if (upstream === undefined) return kind === "result" || kind === "submit" ? undefined : {};
  const { status } = upstream;
  if (kind === "submit") return status >= 200 && status < 300 ? undefined : "release";
  if (kind === "realtime") return status === 101 ? {} : "release";
  if (kind === "result" && (isGateways(status) || status === 400 || status < 200)) return undefined;
  return refusals.includes(status) ? "release" : outcomeOfRun(upstream, unrun);
}

/** What a job came to that is over, by the answer to its result; undefined when that is not its own. */
export function outcomeOfEnd(answer: UpstreamHead, failed: boolean, unrun: () => boolean): Outcome | undefined {
  return failed && isOwn(answer.status, failed)
    ? outcomeOfRun(answer, unrun)
    : outcomeOf("result", "complete", answer, unrun);
}

/** What a run came to that gave this answer. */
function outcomeOfRun(answer: UpstreamHead, unrun: () => boolean): Outcome {
  const units = unitsOf(answer);
  return answer.status >= 500 || units === 0 || (answer.status === 499 && unrun()) ? "release" : { units };
}

/** fal's billable units of an answer, undefined when it names none. */
export function unitsOf({ headers }: UpstreamHead): number | undefined {
  const text = valueOf(headers, "x-fal-billable-units");
  const units = Number(text);
  return text !== undefined && text !== "" && Number.isFinite(units) && units >= 0 ? units : undefined;
}

/** What an outcome costs. */
export function costOf(hold: Pick<Hold, "micros" | "perUnit" | "perSecond">, outcome: Outcome): Micros {
  if (outcome === "release") return 0;
  const { units, seconds } = outcome;
  if (units === 0) return 0;
  if (hold.perUnit !== undefined && units !== undefined) return unitsCost(hold.perUnit, units);
  if (hold.perSecond !== undefined && seconds !== undefined) return unitsCost(hold.perSecond, seconds);
  return hold.micros;
}
