import { Writable } from "node:stream";
import { type Observe, createKeyway } from "@keyway/core";
import { toOpenTelemetry, toPino } from "@keyway/core/observe";
import { SpanKind, SpanStatusCode } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-base";
import { pino } from "pino";
import { describe, expect, it, onTestFinished } from "vitest";
import { always, upstreamKey } from "../upstream.ts";
import { byName, run, submit } from "../conformance/stage.ts";
import { get, guard, idIn, urlsOf } from "./ground.ts";

const canary = {
  key: upstreamKey,
  cookie: "canary-cookie-0123456789",
  prompt: "canary prompt of a cat",
  query: "canary-query-0123456789",
};

const callerId = "ada@shop.example";

/** Makes one call of each sort: done, refused in several ways, failed upstream, a job. */
async function exercise(observe: Observe): Promise<void> {
  const { ask, upstream, queue } = await guard({
    observe,
    authorize: ({ cookie }) => (cookie("session") === canary.cookie ? { id: callerId } : null),
    endpoints: { "demo/echo": {}, "demo/ruled": { input: () => false } },
    limits: { caller: { requests: { max: 3, per: "day" } } },
  });
  const headers = [
    ["cookie", `session=${canary.cookie}`],
    ["sec-fetch-site", "same-origin"],
  ] as const;
  const asked = { as: null, headers, body: JSON.stringify({ prompt: canary.prompt }) };
  await ask(`${run}?q=${canary.query}`, asked);
  const id = idIn(await ask(submit, asked));
  await ask(`${urlsOf(id).status}?logs=1`, { ...get, as: null, headers });
  upstream.answer(always(503, {}, canary.prompt));
  await ask(run, asked);
  upstream.answer(queue.script);
  await ask(run, asked);
  await ask("https://fal.run/demo/ruled", asked);
  await ask(`https://fal.run/somebody/made-this-up?q=${canary.query}`, asked);
  await ask(run, { ...asked, headers: [] });
  await ask("https://evil.example/x", asked);
}

describe("toPino", () => {
  it("writes each event as one line, at the level that it deserves, with nothing of the caller's in it", async () => {
    const lines: string[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(chunk.toString());
        done();
      },
    });
    await exercise(toPino(pino({ level: "info" }, stream)));
    await expect.poll(() => lines.length).toBeGreaterThanOrEqual(13);
    const records = lines.map((line) => JSON.parse(line) as { level: number; msg: string; keyway: { type: string } });
    const said = new Map(records.map(({ msg, level }) => [msg, level]));
    expect(said.get("decision run demo/echo: admitted")).toBe(30);
    expect(said.get("call run demo/echo: complete")).toBe(50);
    expect(said.get("call submit demo/echo: complete")).toBe(30);
    expect(said.get("decision run demo/echo: refused (rate_limited)")).toBe(40);
    expect(said.get("decision run demo/echo: refused (unauthorized)")).toBe(40);
    expect(records.find(({ msg }) => msg.startsWith("call"))?.keyway).toMatchObject({
      type: "call",
      kind: "run",
      endpoint: "demo/echo",
      outcome: "complete",
      status: 200,
      upstreamStatus: 200,
      ms: expect.any(Number),
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      caller: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    showsNothing(lines.join(""));
  });
});

describe("toOpenTelemetry", () => {
  async function measured() {
    const spans = new InMemorySpanExporter();
    const tracing = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
    const metrics = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
    const reader = new PeriodicExportingMetricReader({ exporter: metrics, exportIntervalMillis: 3_600_000 });
    const meters = new MeterProvider({ readers: [reader] });
    onTestFinished(async () => {
      await meters.shutdown();
      await tracing.shutdown();
    });
    const started = Date.now();
    await exercise(toOpenTelemetry({ tracer: tracing.getTracer("keyway"), meter: meters.getMeter("keyway") }));
    await expect.poll(() => spans.getFinishedSpans().length).toBe(4);
    await reader.forceFlush();
    const found =
      metrics
        .getMetrics()
        .at(-1)
        ?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
    return { started, spans: spans.getFinishedSpans(), metrics: found };
  }

  it("makes a span of each finished call, named and described as HTTP's conventions want it", async () => {
    const { started, spans } = await measured();
    const [first, second, third, fourth] = spans;
    expect(spans.map(({ name }) => name)).toEqual([
      "POST demo/echo",
      "POST demo/echo",
      "GET demo/echo",
      "POST demo/echo",
    ]);
    expect(first?.kind).toBe(SpanKind.CLIENT);
    expect(first?.attributes).toMatchObject({
      "http.request.method": "POST",
      "http.response.status_code": 200,
      "http.request.body.size": expect.any(Number),
      "http.response.body.size": expect.any(Number),
      "keyway.call.kind": "run",
      "keyway.call.outcome": "complete",
      "keyway.endpoint": "demo/echo",
      "enduser.pseudo.id": expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(second?.attributes["keyway.call.kind"]).toBe("submit");
    expect(third?.attributes["keyway.call.kind"]).toBe("status");
    expect(first?.status.code).toBe(SpanStatusCode.UNSET);
    expect(fourth?.status.code).toBe(SpanStatusCode.ERROR);
    expect(fourth?.attributes).toMatchObject({ "http.response.status_code": 503, "error.type": "503" });
    const [seconds = 0] = first?.startTime ?? [];
    expect(seconds * 1000).toBeGreaterThanOrEqual(started - 1000);
    expect(first?.duration[0]).toBeLessThan(5);
    showsNothing(JSON.stringify(spans.map(({ name, attributes, status }) => ({ name, attributes, status }))));
  });

  it("measures durations in seconds and counts refusals by code, in few dimensions", async () => {
    const { metrics } = await measured();
    const duration = metrics.find(({ descriptor }) => descriptor.name === "http.client.request.duration");
    expect(duration?.descriptor.unit).toBe("s");
    const points = duration?.dataPoints ?? [];
    expect(new Set(points.map(({ attributes }) => attributes["keyway.call.kind"]))).toEqual(
      new Set(["run", "status", "submit"]),
    );
    for (const { attributes, value } of points) {
      expect(Object.keys(attributes)).not.toContain("enduser.pseudo.id");
      expect(Object.keys(attributes)).not.toContain("keyway.call.id");
      expect((value as { sum: number }).sum).toBeLessThan(5);
    }
    const refusals = metrics.find(({ descriptor }) => descriptor.name === "keyway.refusals");
    const codes = refusals?.dataPoints.map(({ attributes, value }) => [attributes["error.type"], value]) ?? [];
    expect(Object.fromEntries(codes)).toEqual({
      rate_limited: expect.any(Number),
      endpoint_refused: 1,
      unauthorized: 1,
      target_refused: 1,
    });
    showsNothing(JSON.stringify(metrics));
    expect(JSON.stringify(metrics)).not.toContain("made-this-up");
  });

  it("takes a tracer or a meter alone, and observers may be joined by hand", async () => {
    const seen: string[] = [];
    const observers = [toOpenTelemetry({}), (event: { type: string }) => void seen.push(event.type)];
    const observe: Observe = (event) => observers.forEach((one) => one(event));
    const keyway = createKeyway({ authorize: byName, endpoints: [], observe, apiKey: "id:0123456789abcdef" });
    await keyway.fetch(new Request("http://localhost/", { headers: { "x-fal-target-url": run } }));
    expect(seen).toEqual(["decision"]);
  });
});

function showsNothing(text: string): void {
  for (const secret of [...Object.values(canary), ...canary.key.split(":"), callerId])
    expect(text).not.toContain(secret);
}
