import type { AppContext } from "../app.ts";
import { numberOf, toFields } from "../fields.ts";

/** Takes as many `seconds` as its input says (5 without), tells every second, and stops when it is cancelled. */
export async function slow(input: unknown, context: AppContext): Promise<{ readonly seconds: number }> {
  const seconds = Math.max(0, numberOf(toFields(input), "seconds") ?? 5);
  for (let passed = 0; passed < seconds; passed += 1) {
    context.log(`${passed} of ${seconds} s`);
    await context.emit({ passed, seconds });
    await context.sleep(Math.min(1, seconds - passed) * 1000);
  }
  context.setUnits(seconds);
  return { seconds };
}
