import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { idsIn, judge } from "./rows.ts";

const root = join(import.meta.dirname, "..");

/** Titles of tests and groups that stand in the sources of `test/`. */
function titles(): string[] {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/node_modules|fixtures|faults\/rows/.test(name))
    .map((name) => readFileSync(join(root, name), "utf8"));
  return files.flatMap((text) => text.match(/["`][^"`\n]*\bF\d\d\b[^"`\n]*["`]/g) ?? []);
}

it("every row of the fault catalogue has a test that names it, or a reason", () => {
  const proved = new Set(titles().flatMap(idsIn));
  const { missing, lines } = judge(proved);
  process.stdout.write(`${lines.join("\n")}\n`);
  expect(missing).toEqual([]);
});
