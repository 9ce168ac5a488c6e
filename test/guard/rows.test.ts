import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

/** Rows of the catalogue about callers, limits and configuration that no test has, each with the reason. */
const notHere: Readonly<Record<string, string>> = {};

/** A01 to A24, Q01 to Q25, C07 to C28. */
const rows = [...range("A", 1, 24), ...range("Q", 1, 25), ...range("C", 7, 28)];

function range(letter: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, at) => `${letter}${String(from + at).padStart(2, "0")}`);
}

const root = join(import.meta.dirname, "../..");

/** The ids in the names of tests: what stands at the beginning of a text. */
function idsIn(folder: string): Set<string> {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter(
    (name) => name.endsWith(".ts") && !/node_modules|dist|\.next|rows\.test/.test(name),
  );
  const ids = new Set<string>();
  for (const file of files) {
    const text = readFileSync(join(root, folder, file), "utf8");
    for (const [, named = ""] of text.matchAll(/["'`]((?:[AQC]\d{2}(?:[–,]\s?)?)+)[:\s"]/g))
      for (const id of toIds(named)) ids.add(id);
  }
  return ids;
}

/** `A05–A09` and `A09, A11` name several. */
function toIds(named: string): string[] {
  const ends = /^([AQC])(\d{2})–[AQC](\d{2})/.exec(named);
  return ends === null ? (named.match(/[AQC]\d{2}/g) ?? []) : range(ends[1] ?? "", Number(ends[2]), Number(ends[3]));
}

it("every row about callers, limits and configuration is the name of a test, or says why not", () => {
  const tested = new Set([...idsIn("test"), ...idsIn("packages")]);
  const missing = rows.filter((id) => !tested.has(id) && notHere[id] === undefined);
  expect(missing).toEqual([]);
  expect(Object.keys(notHere).filter((id) => tested.has(id) || !rows.includes(id))).toEqual([]);
});
