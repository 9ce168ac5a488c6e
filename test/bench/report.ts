import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { aimsOn, goals, nginxThere, paceOf, verdictOf } from "./goals.ts";
import { type Measure, type Results, measures, medianOf } from "./results.ts";
import type { Settings } from "./settings.ts";

/** Every measure by every peer: medians over the rounds. */
export function table(results: Results): string {
  const peers = [...results.figures.keys()];
  const rows = (Object.keys(measures) as Measure[])
    .map((measure) => [measures[measure], ...peers.map((peer) => format(medianOf(results, peer, measure)))])
    .filter(([, ...cells]) => cells.some((cell) => cell !== ""));
  return toMarkdown([["", ...peers], ...rows]);
}

/** What the project wants to reach, and what this run reached. */
export function goalTable(results: Results): string {
  const pace = paceOf(results);
  const rows = goals.map((goal) => {
    const value = goal.value(results);
    const aims = aimsOn(pace, goal);
    const reached =
      value === undefined ? ["", "not measured"] : [format(value), verdictOf({ ...aims, more: goal.more }, value)];
    const name = goal.time === true && pace !== 1 ? `${goal.name} (${goal.must} there)` : goal.name;
    return [name, toAim(aims.must, goal.time), toAim(aims.goal, goal.time), ...reached];
  });
  const note = `Aims that are times were set where nginx takes ${nginxThere} µs of CPU per status poll. Here it takes ${format(pace * nginxThere)}, so they are ${format(pace)} times as long here.`;
  const table = toMarkdown([["express mount, rules on", "must", "goal", "measured", "reached"], ...rows]);
  return pace === 1 ? table : `${note}\n\n${table}`;
}

/** As it was stated; where it was stretched, without a row of decimals. */
function toAim(value: number, time: true | undefined): string {
  return String(time === true ? Math.round(value) : value);
}

function format(value: number | undefined): string {
  if (value === undefined) return "";
  if (!Number.isFinite(value)) return "never";
  return Math.abs(value) >= 100
    ? String(Math.round(value))
    : Math.abs(value) >= 10
      ? value.toFixed(1)
      : value.toFixed(2);
}

function toMarkdown(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows;
  const widths = head.map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(head), rule, ...rows.slice(1).map(line)].join("\n");
}

/** docs/performance.md and the figures beside it. */
export function writeDocs(results: Results, machine: readonly string[], settings: Settings, json: string): void {
  const docs = join(import.meta.dirname, "..", "..", "docs");
  const problems = results.problems.map(({ peer, workload, says }) => `- ${peer}, ${workload}: ${says.split("\n")[0]}`);
  const page = `# Performance

<!-- Written by npm run bench -- --docs. Do not edit. -->

Measured by \`npm run bench\`, which anybody can run: Keyway with its rules on (authorize, endpoint list, limits, sealed job ids, the store in
memory) beside other proxies in the same run, in turns. Figures are those of the machine below and promise nothing about another one; what
carries over is how they compare. Requests per second and delays suffer from whatever else a machine does; CPU per call and memory hardly do.

${machine.map((line) => `- ${line}`).join("\n")}
- medians of ${settings.rounds} rounds of ${settings.seconds} s; TLS and memory are measured once, in a fresh process each

While it runs, every answer is compared byte for byte with what upstream sent, upstream refuses whatever lacks the key, and upstream's
connection must be closed when the caller has left. The status polls go to 5,000 different URLs. A proxy's turn is a process of its own, alone
on its core, which begins with calls that do not count: a process that has just begun is slow for some seconds, and so is one that was at
rest for a minute or two. Where one goes on working for callers who have left, its turn ends.

## Figures

${table(results)}

- **GET** is a status poll, **POST** a submit of 1 KB. "no proxy" calls upstream itself.
- **express and undici by hand** is a handler of forty lines without rules: what a proxy of this kind cannot do without.
- **Memory rise**: the highest resident memory while ${settings.megabytes} MB pass, above that before. **Idle**: resident memory per connection between
  ${settings.idle[0]} and ${settings.idle[1]} open ones, when ${settings.idle[0]} have come and gone twice and processes of Node's have collected all that is garbage; what V8
  lets lie meanwhile comes to some 15 kB more for each connection that was opened of late.
- The official proxy is mounted behind \`express.json()\`, as it needs it, so it takes no large requests. It and \`reply-from\` have no WebSockets.
- WebSockets of Next.js and SvelteKit go the way of the node mount.

## Aims

${goalTable(results)}
${problems.length === 0 ? "" : `\n## What went wrong\n\n${problems.join("\n")}\n`}`;
  writeFileSync(join(docs, "performance.md"), page);
  writeFileSync(join(docs, "performance.json"), `${json}\n`);
}
