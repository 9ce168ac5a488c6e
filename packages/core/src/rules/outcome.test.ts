import { describe, expect, it } from "vitest";
import type { Kind } from "../call.ts";
import type { Ending, UpstreamHead } from "../seam.ts";
import type { Outcome } from "../store.ts";
import { costOf, outcomeOf, unitsOf } from "./outcome.ts";

function headOf(status: number, units?: string): UpstreamHead {
  return { status, headers: units === undefined ? [] : [["x-fal-billable-units", units]] };
}

describe("what a call came to", () => {
  const cost = ["run", "stream", "realtime", "submit"] as const;
  const answered = ["run", "stream"] as const;
  const whole = {};
  const charged = { units: undefined };
  const rows: readonly (readonly [
    kinds: readonly Kind[],
    ending: Ending,
    UpstreamHead | undefined,
    Outcome | undefined,
  ])[] = [
    // No answer: nothing was sent, or nobody knows whether it ran.
    [cost, "unsent", undefined, "release"],
    [["result"], "unsent", undefined, undefined],
    [answered, "unanswered", undefined, whole],
    [["realtime"], "unanswered", undefined, "release"],
    [["realtime"], "left", undefined, "release"],
    [["submit", "result"], "unanswered", undefined, undefined],
    [["submit", "result"], "left", undefined, undefined],
    // A run or stream.
    [answered, "complete", headOf(200), charged],
    [answered, "complete", headOf(200, "2.5"), { units: 2.5 }],
    [answered, "cut", headOf(200, "2"), { units: 2 }],
    [answered, "left", headOf(200), charged],
    [answered, "stopped", headOf(200), charged],
    [answered, "complete", headOf(200, "0"), "release"],
    [answered, "complete", headOf(400), charged],
    [answered, "complete", headOf(422, "1"), { units: 1 }],
    [answered, "complete", headOf(499), charged],
    ...[401, 403, 404, 405, 429, 500, 503].map(
      (status) => [answered, "complete", headOf(status, "1"), "release"] as const,
    ),
    // A submit's job is charged when it ends.
    [["submit"], "complete", headOf(200), undefined],
    [["submit"], "complete", headOf(299, "1"), undefined],
    ...[302, 400, 422, 429, 500].map((status) => [["submit"], "complete", headOf(status), "release"] as const),
    // A socket, by how its handshake was answered.
    [["realtime"], "complete", headOf(101), whole],
    [["realtime"], "cut", headOf(101), whole],
    ...[200, 403, 500].map((status) => [["realtime"], "complete", headOf(status), "release"] as const),
    // A result says how its job ended, unless the gateway answers, or the job is still at work (400).
    [["result"], "complete", headOf(200, "3"), { units: 3 }],
    [["result"], "complete", headOf(200), charged],
    [["result"], "complete", headOf(200, "0"), "release"],
    [["result"], "complete", headOf(422), charged],
    [["result"], "complete", headOf(499), charged],
    [["result"], "complete", headOf(500), "release"],
    ...[100, 400, 401, 403, 404, 405, 429, 502, 503, 504].map(
      (status) => [["result"], "complete", headOf(status), undefined] as const,
    ),
  ];
  it.each(rows)("%j %s %j: %j", (kinds, ending, upstream, outcome) => {
    for (const kind of kinds)
      expect(
        outcomeOf(kind, ending, upstream, () => false),
        kind,
      ).toEqual(outcome);
  });

  it.each([
    [headOf(499), "release"],
    [headOf(499, "1"), "release"],
    [headOf(200), charged],
    [headOf(422), charged],
  ] as const)("a job that was last seen in the queue: %j: %j", (upstream, outcome) => {
    expect(outcomeOf("result", "complete", upstream, () => true)).toEqual(outcome);
  });
});

it.each([
  [undefined, undefined],
  ["", undefined],
  ["1", 1],
  ["0", 0],
  ["0.25", 0.25],
  ["-1", undefined],
  ["Infinity", undefined],
  ["one", undefined],
])("units written %j are %j", (text, units) => {
  expect(unitsOf(headOf(200, text))).toBe(units);
});

describe("what an outcome costs", () => {
  const perCall = { micros: 40_000, perUnit: undefined, perSecond: undefined };
  const perUnit = { micros: 100_000, perUnit: 25_000, perSecond: undefined };
  const perSecond = { micros: 60_000, perUnit: undefined, perSecond: 1000 };
  it.each([
    [perCall, {}, 40_000],
    [perCall, "release", 0],
    [perCall, { units: 0 }, 0],
    [perCall, { units: 7 }, 40_000],
    [perSecond, {}, 60_000],
    [perSecond, { seconds: 3.7 }, 3700],
    [perSecond, { units: 2 }, 60_000],
    [perSecond, { units: 0, seconds: 5 }, 0],
    [perUnit, {}, 100_000],
    [perUnit, "release", 0],
    [perUnit, { units: 0 }, 0],
    [perUnit, { units: 1 }, 25_000],
    [perUnit, { units: 0.1 }, 2500],
    [perUnit, { units: 6 }, 150_000],
    [perUnit, { units: 1e300 }, Number.MAX_SAFE_INTEGER],
  ] as const)("%j %j: %d", (reservation, outcome, micros) => {
    expect(costOf(reservation, outcome)).toBe(micros);
  });
});
