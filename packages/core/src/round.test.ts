import { expect, it } from "vitest";
import { Round } from "./round.ts";

function mapOf(size: number): Map<number, string> {
  return new Map(Array.from({ length: size }, (_value, index) => [index, "one"]));
}

it("looks at a thousand of few and at a tenth of many, and begins anew at the end", () => {
  const few = new Round(mapOf(1500));
  expect([...few.next()]).toHaveLength(1000);
  expect([...few.next()].map(([key]) => key)).toEqual(Array.from({ length: 500 }, (_value, index) => 1000 + index));
  expect([...few.next()][0]?.[0]).toBe(0);
  expect([...new Round(mapOf(40_000)).next()]).toHaveLength(4000);
});

it("sees everything that is there, though some goes and some comes meanwhile", () => {
  const map = mapOf(20_000);
  const round = new Round(map);
  const seen = new Set<number>();
  for (let turn = 0; turn < 30; turn += 1) {
    for (const [key] of round.next()) {
      seen.add(key);
      map.delete(key);
    }
    map.set(20_000 + turn, "one");
  }
  expect(map.size).toBeLessThan(30);
  expect(seen.size).toBeGreaterThanOrEqual(20_000);
});
