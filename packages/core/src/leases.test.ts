import fc from "fast-check";
import { expect, it } from "vitest";
import { Leases } from "./leases.ts";

const id = fc.integer({ min: 0, max: 9 }).map(String);
const step = fc.oneof(
  fc.record({ do: fc.constant("begin" as const), id, length: fc.constantFrom(10, 25) }),
  fc.record({ do: fc.constant("end" as const), id }),
  fc.record({ do: fc.constant("wait" as const), time: fc.integer({ min: 1, max: 12 }) }),
);

it("finds what is over, to the millisecond, and nothing else", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const leases = new Leases();
      const right = new Map<string, { length: number; until: number }>();
      let now = 1000;
      for (const one of steps) {
        if (one.do === "wait") now += one.time;
        else {
          const known = right.get(one.id);
          if (known !== undefined) leases.end(one.id, known.length);
          right.delete(one.id);
        }
        if (one.do === "begin") {
          leases.begin(one.id, one.length, now);
          right.set(one.id, { length: one.length, until: now + one.length });
        }
        const over = [...right].filter(([, { until }]) => until <= now).map(([name]) => name);
        expect(leases.over(now).toSorted()).toEqual(over.toSorted());
      }
    }),
  );
});
