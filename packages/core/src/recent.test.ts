import fc from "fast-check";
import { expect, it } from "vitest";
import { createRecent } from "./recent.ts";

const key = fc.integer({ min: 0, max: 20 }).map(String);
const step = fc.oneof(
  fc.record({ do: fc.constant("set" as const), key, value: fc.nat() }),
  fc.record({ do: fc.constantFrom("get" as const, "delete" as const), key }),
);

it("knows the latest half of what it may keep, and nothing wrong", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const recent = createRecent<number>(8);
      const right = new Map<string, number>();
      let latest: string[] = [];
      for (const one of steps) {
        latest = latest.filter((name) => name !== one.key);
        if (one.do === "delete") {
          recent.delete(one.key);
          right.delete(one.key);
          continue;
        }
        if (one.do === "set") {
          recent.set(one.key, one.value);
          right.set(one.key, one.value);
        }
        const known = recent.get(one.key);
        if (known !== undefined) latest.push(one.key);
        expect([undefined, right.get(one.key)]).toContain(known);
        if (one.do === "set") expect(known).toBe(one.value);
      }
      for (const name of latest.slice(-4)) expect(recent.get(name)).toBe(right.get(name));
    }),
  );
});

it("forgets everything when it is told to", () => {
  const recent = createRecent<number>(8);
  recent.set("a", 1);
  recent.clear();
  expect(recent.get("a")).toBeUndefined();
});

it("forgets within two lifetimes what nobody has asked for", () => {
  let time = 0;
  const recent = createRecent<number>(8, 1000, () => time);
  for (const name of ["a", "b"]) recent.set(name, 1);
  time = 1000;
  recent.set("c", 1);
  expect(recent.get("a")).toBe(1);
  time = 2000;
  recent.set("d", 1);
  expect([recent.get("a"), recent.get("b"), recent.get("c"), recent.get("d")]).toEqual([1, undefined, 1, 1]);
});
