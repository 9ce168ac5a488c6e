// The rows of the fault catalogue, F01 to F37: which tests prove them, and which are left out and why.

const rows = Array.from({ length: 37 }, (_, at) => `F${String(at + 1).padStart(2, "0")}`);

/** Rows that no test proves. */
const leftOut: Readonly<Record<string, string>> = {
  F04: "private addresses are not refused at connect: upstream is fal's own hosts over verified TLS, or one that the app's code names",
  F36: "HTTP/2 is not spoken towards upstream",
};

/** Ids in a test's title. */
export function idsIn(title: string): string[] {
  return title.match(/\bF\d\d\b/g) ?? [];
}

/** What is missing from `proved`, and one line about all of it. */
export function judge(proved: ReadonlySet<string>): { readonly missing: string[]; readonly lines: string[] } {
  const missing = rows.filter((row) => !proved.has(row) && !(row in leftOut));
  const reasons = Object.entries(leftOut)
    .filter(([row]) => !proved.has(row))
    .map(([row, why]) => `  ${row} left out: ${why}`);
  const count = rows.filter((row) => proved.has(row)).length;
  const lost = missing.length === 0 ? "" : `; MISSING: ${missing.join(" ")}`;
  return {
    missing,
    lines: [`fault rows: ${count} of ${rows.length} by tests, ${reasons.length} left out${lost}`, ...reasons],
  };
}
