// Adds up what the test runs reported, prints their figures, and then the closing line of CI.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { idsIn, judge } from "./faults/rows.ts";

const [status = "1", folder = ""] = process.argv.slice(2);
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
const reports = files.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
const sum = (field) => reports.reduce((total, report) => total + (report[field] ?? 0), 0);

const passed = reports
  .flatMap(({ testResults = [] }) => testResults.flatMap(({ assertionResults = [] }) => assertionResults))
  .filter((test) => test.status === "passed")
  .map(({ fullName = "" }) => fullName);
const faults = judge(new Set(passed.flatMap(idsIn)));
console.log(`\n${[...faults.lines, ...reports.flatMap(({ figures = [] }) => figures)].join("\n")}\n`);

// A run that got to its end and lost a row has failed; one that broke off before has failed anyhow.
const lost = status === "0" ? faults.missing.length : 0;
const failed = sum("numFailedTests") + lost;
console.log(`${sum("numPassedTests")} passed, ${failed === 0 && status !== "0" ? 1 : failed} failed`);
if (lost > 0) process.exitCode = 1;
