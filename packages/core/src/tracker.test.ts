import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type HeardState, StateReader, stateIn } from "./tracker.ts";

const queued = '{"status":"IN_QUEUE","request_id":"r","queue_position":0}';
const log = { message: '{"status":"COMPLETED","metrics":{"inference_time": 99.9 }}\n'.repeat(30), level: "INFO" };
const completed = JSON.stringify({
  status: "COMPLETED",
  request_id: "r",
  logs: [log],
  metrics: { inference_time: 3.7 },
});
const progress = JSON.stringify({ status: "IN_PROGRESS", request_id: "r", logs: [log], metrics: {} });

/** The text in pieces that end at these places. */
function inPieces(text: string, places: readonly number[]): string[] {
  const cuts = [0, ...places.map((place) => place % text.length).toSorted((a, b) => a - b), text.length];
  return cuts.slice(1).map((end, index) => text.slice(cuts[index], end));
}

function hear(pieces: readonly string[]): HeardState[] {
  const heard: HeardState[] = [];
  const reader = new StateReader((one) => heard.push(one));
  for (const piece of pieces) reader.push(piece);
  reader.end();
  return heard;
}

describe("a job's state", () => {
  it("is heard from an answer, in whatever pieces it comes", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 40 }), (places) => {
        expect(hear(inPieces(completed, places))).toEqual([{ state: "COMPLETED", seconds: 3.7, failed: false }]);
      }),
    );
  });
  it("is heard from each event of a stream, as soon as its line is there", () => {
    const stream = [queued, progress, completed].map((text) => `data: ${text}\n\n: ping\n\n`).join("");
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 40 }), (places) => {
        expect(hear(inPieces(stream, places))).toEqual([
          { state: "IN_QUEUE", seconds: undefined, failed: false },
          { state: "IN_PROGRESS", seconds: undefined, failed: false },
          { state: "COMPLETED", seconds: 3.7, failed: false },
        ]);
      }),
    );
    const heard: HeardState[] = [];
    new StateReader((one) => heard.push(one)).push(`data: ${queued}\n`);
    expect(heard).toHaveLength(1);
  });
  it("is not taken from what a log says, nor from what is no status", () => {
    expect(stateIn(progress)).toEqual({ state: "IN_PROGRESS", seconds: undefined, failed: false });
    expect(stateIn('{"status":"COMPLETED","metrics":{}}')).toEqual({
      state: "COMPLETED",
      seconds: undefined,
      failed: false,
    });
    for (const text of [
      "",
      "{}",
      '{"detail":"not found"}',
      '{"status":"NOT_FOUND"}',
      `"${"x".repeat(300)}"`,
      '[{"status":"COMPLETED"}]',
    ])
      expect(stateIn(text)).toBeUndefined();
  });

  it("names an error where the status does, and not where a log speaks of one", () => {
    const failed = { status: "COMPLETED", metrics: { inference_time: 3.7 }, error: "x", error_type: "internal_error" };
    expect(stateIn(JSON.stringify(failed))).toEqual({ state: "COMPLETED", seconds: 3.7, failed: true });
    const quoted = { status: "COMPLETED", logs: [{ message: JSON.stringify(failed) }], metrics: { inference_time: 2 } };
    expect(stateIn(JSON.stringify(quoted))).toEqual({ state: "COMPLETED", seconds: 2, failed: false });
  });
});
