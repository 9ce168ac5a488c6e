import type { Observe, ObserveEvent } from "../observe.ts";

/** The part of a pino logger that is used. */
export interface PinoLike {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * Writes each event as one line: `error` for faults of the app or of fal.ai, `warn` for refusals and for calls that broke off, `info`
 * for the rest. The fields are those of {@link ObserveEvent}.
 *
 * @example createKeyway({ observe: toPino(pino()), ... })
 */
export function toPino(logger: PinoLike): Observe {
  return (event) => {
    const { time: _, ...fields } = event;
    logger[levelOf(event)]({ keyway: fields }, messageOf(event));
  };
}

function levelOf(event: ObserveEvent): keyof PinoLike {
  const { status, outcome } = event;
  if ((status ?? 0) >= 500) return "error";
  const calm = calmOutcomes.includes(outcome);
  return calm && event.code === undefined ? "info" : "warn";
}

const calmOutcomes: readonly ObserveEvent["outcome"][] = [
  "admitted",
  "answered",
  "complete",
  "left",
  "handled",
  "replayed",
];

function messageOf({ type, kind, endpoint, outcome, code }: ObserveEvent): string {
  const what = [type, kind, endpoint].filter((part) => part !== undefined).join(" ");
  return `${what}: ${outcome}${code === undefined ? "" : ` (${code})`}`;
}
