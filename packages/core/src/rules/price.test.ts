import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolvePrice, toMicros, unitsCost } from "./price.ts";

it.each([
  [0, 0],
  [0.04, 40_000],
  [1.1, 1_100_000],
  [0.1 + 0.2, 300_000],
  [0.000_000_1, 1],
  [0.000_001, 1],
  [0.000_001_1, 2],
  [1e6, 1e12],
])("$%d are %d micro-USD", (usd, micros) => {
  expect(toMicros(usd)).toBe(micros);
});

it.each([
  [{ perCall: 0.04 }, { reserve: 40_000, perUnit: undefined }],
  [{ perCall: 0 }, { reserve: 0, perUnit: undefined }],
  [{ perUnit: 0.025 }, { reserve: 25_000, perUnit: 25_000 }],
  [
    { perUnit: 0.025, reserveUnits: 4 },
    { reserve: 100_000, perUnit: 25_000 },
  ],
  [
    { perUnit: 0.025, reserveUnits: 0.5 },
    { reserve: 12_500, perUnit: 25_000 },
  ],
  [
    { perUnit: 0.000_001_5, reserveUnits: 4 },
    { reserve: 8, perUnit: 2 },
  ],
])("%j", (option, price) => {
  expect(resolvePrice(option, "a/b")).toEqual(price);
});

it.each([
  [5],
  [null],
  [{}],
  [{ perCall: -1 }],
  [{ perCall: Number.NaN }],
  [{ perCall: Number.POSITIVE_INFINITY }],
  [{ perCall: "1" }],
  [{ perCall: 1, perUnit: 1 }],
  [{ perCall: 1, reserveUnits: 1 }],
  [{ perUnit: 1, reserveUnits: -1 }],
  [{ perUnit: 1, reserveUnits: "2" }],
])("%j is no price, and the message shows one", (option) => {
  expect(() => resolvePrice(option, "fal-ai/flux/**")).toThrow(
    expect.objectContaining({ code: "invalid_option", message: expect.stringMatching(/fal-ai\/flux.*perCall: 0\.04/) }),
  );
});

describe("what units cost", () => {
  it("is a whole number, never below the true amount, and within what was set aside for as many units", () => {
    const price = fc.double({ min: 0, max: 100, noNaN: true });
    const units = fc.double({ min: 0, max: 1000, noNaN: true });
    fc.assert(
      fc.property(price, units, units, (usd, some, more) => {
        const micros = toMicros(usd);
        const [less = 0, most = 0] = [some, more].sort((a, b) => a - b);
        const cost = unitsCost(micros, less);
        expect(Number.isInteger(cost)).toBe(true);
        expect(cost).toBeGreaterThanOrEqual(micros * less - 0.001);
        expect(cost).toBeLessThanOrEqual(Number(resolvePrice({ perUnit: usd, reserveUnits: most }, "a/b").reserve));
      }),
    );
  });
});
