import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { within } from "./within.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What some libraries give in place of a promise. */
function thenable(then: (resolve: (value: number) => void) => void): Promise<number> {
  const value = {};
  Reflect.set(value, "then", then);
  return value as never;
}

const late = (): Error => new Error("late");

it("is the value or the rejection, and leaves no timer behind", async () => {
  await expect(within(Promise.resolve(1), 50, late)).resolves.toBe(1);
  await expect(within(Promise.reject(new Error("failed")), 50, late)).rejects.toThrow("failed");
  await expect(
    within(
      thenable((resolve) => resolve(2)),
      50,
      late,
    ),
  ).resolves.toBe(2);
  const broken = thenable(() => {
    throw new Error("broken");
  });
  await expect(within(broken, 50, late)).rejects.toThrow("broken");
  expect(vi.getTimerCount()).toBe(0);
});

it("rejects when it takes longer, and what comes later is of no interest", async () => {
  const { promise, reject } = Promise.withResolvers<number>();
  const outcome = within(promise, 50, late).catch((cause: unknown) => String(cause));
  await vi.advanceTimersByTimeAsync(49);
  expect(vi.getTimerCount()).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(await outcome).toBe("Error: late");
  reject(new Error("later"));
  await vi.advanceTimersByTimeAsync(1000);
});
