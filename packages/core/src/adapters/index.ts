export { type PinoLike, toPino } from "./pino.ts";
export {
  type CounterLike,
  type HistogramLike,
  type MeterLike,
  type OpenTelemetryOptions,
  type SpanLike,
  type TracerLike,
  toOpenTelemetry,
} from "./opentelemetry.ts";
export type { CallEvent, DecisionEvent, DeliveryEvent, Observe, ObserveEvent } from "../observe.ts";
