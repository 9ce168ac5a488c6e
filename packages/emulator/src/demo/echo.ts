import type { AppContext } from "../app.ts";

/** Answers its input. */
export function echo(input: unknown, context: AppContext): unknown {
  context.setUnits(1);
  return input;
}
