import { expect, test } from "vitest";
import { type OpenCall, createOpenCalls } from "./open-calls.ts";

function calls(count: number): OpenCall[] {
  return Array.from({ length: count }, (_, at) => ({ cut: () => undefined, server: at, place: -1 }));
}

function names(open: Iterable<OpenCall>): string[] {
  return [...open].map(({ server }) => String(server)).toSorted((a, b) => a.localeCompare(b));
}

test("what is open is what came and has not left, in whatever order they leave", () => {
  const open = createOpenCalls();
  const [a, b, c, d] = calls(4) as [OpenCall, OpenCall, OpenCall, OpenCall];
  for (const call of [a, b, c]) open.add(call);
  open.add(b);
  expect(open.size).toBe(3);
  open.delete(a);
  open.delete(a);
  open.delete(d);
  expect(names(open)).toEqual(["1", "2"]);
  open.add(d);
  open.delete(c);
  open.delete(d);
  expect(names(open)).toEqual(["1"]);
  open.delete(b);
  expect([open.size, ...open]).toEqual([0]);
});

test("all are cut, though each leaves while they are walked through", () => {
  const open = createOpenCalls();
  const many = calls(10);
  let cut = 0;
  for (const call of many) {
    call.cut = () => {
      cut += 1;
      open.delete(call);
    };
    open.add(call);
  }
  for (const call of open) call.cut();
  expect([cut, open.size]).toEqual([10, 0]);
});
