import type { CallEvent, DecisionEvent, DeliveryEvent, Observe, ObserveEvent } from "../observe.ts";

type Attributes = Record<string, string | number>;

/** The parts of `@opentelemetry/api` that are used, so that nothing of it is imported. */
export interface SpanLike {
  setStatus(status: { code: number; message?: string }): unknown;
  end(endTime?: number): void;
}

export interface TracerLike {
  startSpan(name: string, options: { kind: number; startTime: number; attributes: Attributes }): SpanLike;
}

export interface CounterLike {
  add(value: number, attributes: Attributes): void;
}

export interface HistogramLike {
  record(value: number, attributes: Attributes): void;
}

export interface MeterLike {
  createCounter(name: string, options: { description: string; unit: string }): CounterLike;
  createHistogram(
    name: string,
    options: { description: string; unit: string; advice?: { explicitBucketBoundaries?: number[] } },
  ): HistogramLike;
}

/** Either may be left out. */
export interface OpenTelemetryOptions {
  readonly tracer?: TracerLike | undefined;
  readonly meter?: MeterLike | undefined;
}

/** `SpanKind.CLIENT` and `SpanStatusCode.ERROR` of `@opentelemetry/api`. */
const client = 2;
const error = 2;

/** Buckets of the HTTP semantic conventions, and beyond them: a run may take minutes. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120, 300, 600];

/**
 * One span for each finished call to fal.ai, a histogram `http.client.request.duration` in seconds, and counters of refusals and of
 * bytes, with the attribute names of OpenTelemetry's HTTP semantic conventions; Keyway's own begin with `keyway.`.
 *
 * @example createKeyway({ observe: toOpenTelemetry({ tracer: trace.getTracer("keyway"), meter: metrics.getMeter("keyway") }), ... })
 */
export function toOpenTelemetry({ tracer, meter }: OpenTelemetryOptions): Observe {
  const duration = meter?.createHistogram("http.client.request.duration", {
    description: "From the caller's request to the end of its answer.",
    unit: "s",
    advice: { explicitBucketBoundaries: buckets },
  });
  const refusals = meter?.createCounter("keyway.refusals", { description: "Calls that were refused.", unit: "{call}" });
  const deliveries = meter?.createCounter("keyway.deliveries", {
    description: "Webhook deliveries that came in.",
    unit: "{delivery}",
  });
  return (event) => {
    if (event.type === "delivery") {
      deliveries?.add(1, deliveryAttributes(event));
      return;
    }
    if (event.type === "decision") {
      if (event.outcome !== "refused" && event.outcome !== "would-refuse") return;
      refusals?.add(1, refusalAttributes(event));
      return;
    }
    duration?.record(event.ms / 1000, callAttributes(event));
    if (tracer !== undefined) recordSpan(tracer, event);
  };
}

function recordSpan(tracer: TracerLike, event: CallEvent): void {
  const { method, endpoint, time, ms } = event;
  const span = tracer.startSpan(endpoint === undefined ? method : `${method} ${endpoint}`, {
    kind: client,
    startTime: time - ms,
    attributes: {
      ...callAttributes(event),
      ...stated({
        "keyway.call.id": event.id,
        "enduser.pseudo.id": event.caller,
        "http.request.body.size": event.bytesIn,
        "http.response.body.size": event.bytesOut,
        "keyway.response.status_code": event.status,
      }),
    },
  });
  if (errorOf(event) !== undefined) span.setStatus({ code: error });
  span.end(time);
}

/** Few values each, so that they can be dimensions of a metric. */
function callAttributes(event: CallEvent): Attributes {
  return {
    ...commonAttributes(event),
    ...stated({ "http.response.status_code": event.upstreamStatus, "error.type": errorOf(event) }),
    "keyway.call.outcome": event.outcome,
  };
}

function refusalAttributes(event: DecisionEvent): Attributes {
  return {
    ...commonAttributes(event),
    ...stated({ "http.response.status_code": event.status, "error.type": event.code }),
    "keyway.decision.outcome": event.outcome,
  };
}

function deliveryAttributes(event: DeliveryEvent): Attributes {
  return {
    ...stated({ "http.response.status_code": event.status, "error.type": event.reason ?? event.code }),
    "keyway.delivery.outcome": event.outcome,
  };
}

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** An endpoint is named only for calls that the app's list let through, or anyone could make up as many as he likes. */
function commonAttributes({ type, method, kind, endpoint }: ObserveEvent): Attributes {
  return {
    "http.request.method": methods.includes(method) ? method : "_OTHER",
    ...stated({ "keyway.call.kind": kind, "keyway.endpoint": type === "call" ? endpoint : undefined }),
  };
}

function errorOf({ code, upstreamStatus, outcome }: CallEvent): string | undefined {
  if (code !== undefined) return code;
  if (upstreamStatus !== undefined && upstreamStatus >= 400) return String(upstreamStatus);
  return outcome === "complete" || outcome === "left" ? undefined : outcome;
}

function stated(fields: Readonly<Record<string, string | number | undefined>>): Attributes {
  return Object.fromEntries(
    Object.entries(fields).filter((entry): entry is [string, string | number] => entry[1] !== undefined),
  );
}
