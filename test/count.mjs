// Adds up what the test runs reported and prints the closing line of CI.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [status = "1", folder = ""] = process.argv.slice(2);
const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".json")) : [];
const reports = files.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));
const sum = (field) => reports.reduce((total, report) => total + (report[field] ?? 0), 0);
const failed = sum("numFailedTests");
console.log(`${sum("numPassedTests")} passed, ${failed === 0 && status !== "0" ? 1 : failed} failed`);
