import fc from "fast-check";

/** How many inputs each property is tried on. `SEED` and `RUNS` in the environment repeat a run, or make it longer. */
export const runs: number = Number(process.env["RUNS"] ?? (process.env["CI"] === undefined ? 200 : 2000));
export const seed: number = Number(process.env["SEED"] ?? Date.now() % 2 ** 31);

/** Tries a property on many values; a failure names the seed and the smallest value. */
export async function hold<T>(
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Promise<void>,
  examples: T[] = [],
): Promise<void> {
  await fc.assert(fc.asyncProperty(arbitrary, property), {
    seed,
    numRuns: runs,
    examples: examples.map((example): [T] => [example]),
  });
}
