/**
 * `npm run test:fuzz`: changed bytes against every side that reads any. Options: `--seconds <n>` (45 unless said; hours are fine),
 * `--seed <n>`, `--report <file>`.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { createRandom } from "../random.ts";
import { type Ground, startGround } from "./ground.ts";
import { type Target, targets } from "./targets.ts";

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "45" }, seed: { type: "string" }, report: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 31);
const each = (Number(values.seconds) * 1000) / targets.length;
const atOnce = 96;

interface Result {
  readonly name: string;
  readonly inputs: number;
  readonly faults: string[];
}

/** Tries inputs until the time is over or one is not borne. */
async function fuzz(target: Target, ground: Ground, random: () => number): Promise<Result> {
  const until = Date.now() + each;
  const faults: string[] = [];
  let inputs = 0;
  let before: readonly Buffer[] = [];
  while (Date.now() < until && faults.length === 0) {
    const batch = Array.from({ length: target.alone ? 1 : atOnce }, () => target.input(random));
    const judged = await Promise.all(batch.map((input, at) => target.play(input, ground, inputs + at)));
    inputs += batch.length;
    const wrongs = [...judged, ...ground.wrongs()].filter((wrong) => wrong !== undefined);
    // What kills the process may have come a batch earlier.
    const bytes = [...before, ...batch].map((input) => input.toString("base64")).join("\n    ");
    before = batch;
    if (wrongs.length > 0)
      faults.push(`${[...new Set(wrongs)].slice(0, 5).join("\n  ")}\n  one of these:\n    ${bytes}`);
  }
  return { name: target.name, inputs, faults };
}

const title = `fuzz: ${values.seconds} s, seed ${seed}`;
console.log(title);
const ground = await startGround();
const results: Result[] = [];
for (const [at, target] of targets.entries()) results.push(await fuzz(target, ground, createRandom(seed + at)));
const end = await ground.close();
const checks = [
  ...results.map(({ name, inputs, faults }) => ({
    name: `${name}: ${inputs} inputs, ${faults.length} faults`,
    faults,
  })),
  {
    name: `${end.keyBytes} key bytes in ${end.looked} bytes seen and the log`,
    faults: end.keyBytes === 0 && end.looked > 0 ? [] : ["the key was seen"],
  },
  { name: end.died ? "the process died" : "0 deaths", faults: end.died ? [end.log.slice(-3000)] : [] },
];
for (const { name, faults } of checks)
  console.log([`${faults.length === 0 ? "ok    " : "FAILED"}  ${name}`, ...faults].join("\n  "));
const failed = checks.filter(({ faults }) => faults.length > 0).length;
if (values.report !== undefined) {
  const figures = [title, ...checks.map(({ name }) => `  ${name}`)];
  writeFileSync(
    values.report,
    JSON.stringify({ numPassedTests: checks.length - failed, numFailedTests: failed, figures }),
  );
}
process.exit(failed === 0 ? 0 : 1);
