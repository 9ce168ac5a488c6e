import { readFileSync } from "node:fs";
import { join } from "node:path";
import { listErrors } from "@keyway/core";
import { expect, it } from "vitest";

const page = readFileSync(join(import.meta.dirname, "../../docs/security.md"), "utf8");
const rows = [...page.matchAll(/^\| `(\w+)` +\| (\d{3}) +\| (\S.*\S) +\|$/gm)];

it("docs/security.md lists each refusal with its status and a mend", () => {
  expect(rows.map(([, code, status]) => [code, Number(status)])).toEqual(
    listErrors().map(({ code, status }) => [code, status]),
  );
});

it("docs/security.md is no longer than a sitting", () => {
  expect(page.split("\n").length).toBeLessThanOrEqual(151);
});
