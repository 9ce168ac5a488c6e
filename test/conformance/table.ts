// Runs the suite on every mount, prints what holds where, and writes docs/conformance.md.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Limit, Mount } from "./mount.ts";
import { mounts as plain } from "./mounts/all.ts";
import { frameworks } from "./mounts/frameworks.ts";
import { nextDev } from "./mounts/next-dev.ts";
import { sveltekitDev } from "./mounts/sveltekit-dev.ts";

interface Outcome {
  readonly mount: string;
  readonly suite: "behaviours" | "attacks";
  readonly group: string;
  readonly title: string;
  readonly status: string;
  readonly limit: Limit | undefined;
}

interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly meta: { readonly limit?: Limit };
    }[];
  }[];
}

const root = join(import.meta.dirname, "..", "..");
const page = join(root, "docs", "conformance.md");
const mounts: readonly Mount[] = [...plain, ...frameworks, nextDev, sveltekitDev];

const { status, outcomes } = runSuite();
const text = toMarkdown(outcomes);
console.log(text.slice(text.indexOf("| "), text.indexOf("## Limits")));
for (const { mount, group, title } of outcomes.filter(({ status }) => status === "failed"))
  console.log(`failed: ${mount} > ${group} > ${title}`);
if (status === 0) {
  writeFileSync(page, text);
  spawnSync(join(root, "node_modules", ".bin", "oxfmt"), [page], { cwd: root, stdio: "inherit" });
}
console.log(`${outcomes.length} runs of ${countTitles(outcomes)} behaviours and attacks on ${mounts.length} mounts`);
process.exit(status);

function runSuite(): { status: number; outcomes: Outcome[] } {
  const folder = mkdtempSync(join(tmpdir(), "keyway-conformance-"));
  const file = join(folder, "report.json");
  const { status } = spawnSync(
    process.execPath,
    [
      join(root, "node_modules", "vitest", "vitest.mjs"),
      "run",
      "--silent",
      "--reporter=json",
      `--config=${join(import.meta.dirname, "vitest.config.ts")}`,
      `--outputFile.json=${file}`,
      ...process.argv.slice(2),
    ],
    { cwd: root, stdio: ["ignore", "ignore", "inherit"] },
  );
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  rmSync(folder, { recursive: true });
  const order = mounts.map(({ name }) => name);
  const outcomes = report.testResults
    .flatMap(toOutcomes)
    .toSorted((a, b) => order.indexOf(a.mount) - order.indexOf(b.mount));
  return { status: status ?? 1, outcomes };
}

function toOutcomes({ name, assertionResults }: Report["testResults"][number]): Outcome[] {
  const suite = name.includes("attacks-") ? "attacks" : "behaviours";
  return assertionResults
    .map(
      ({ ancestorTitles: [mount = "", ...groups], title, status, meta }) =>
        ({
          mount,
          suite,
          group: groups.join(", ") || "alone",
          title,
          status,
          limit: meta.limit,
        }) as const,
    )
    .filter(({ mount }) => mounts.some((one) => one.name === mount));
}

function countTitles(all: readonly Outcome[]): number {
  return new Set(all.map(({ suite, group, title }) => `${suite} ${group} ${title}`)).size;
}

function toMarkdown(all: readonly Outcome[]): string {
  const behaviours = all.filter(({ suite }) => suite === "behaviours");
  const attacks = all.filter(({ suite }) => suite === "attacks");
  const shown = mounts.filter(({ name }) => behaviours.some(({ mount }) => mount === name));
  return `# Conformance

Written by \`npm run conformance\`, which runs every behaviour on every mount: Next.js and SvelteKit as production builds, and streams
and callers who leave in their development servers too. \`npm test\` runs the part that needs no build: node, Express and web.

A number is how many behaviours of the group hold. \`+1 limit\`: one more holds except for what the framework itself does, see
[Limits](#limits). \`–\`: not run there.

${toTable(behaviours, shown)}

## Attacks

The attack suite of [docs/security.md](security.md) on the frameworks' builds (\`npm test\` runs it on the other mounts).

${toTable(
  attacks,
  frameworks.filter(({ name }) => attacks.some(({ mount }) => mount === name)),
)}

What the framework answers before the proxy is asked, none of which reaches fal.ai:

${frameworks.map(toSelfAnswers).join("\n")}

## Limits

${shown
  .filter(({ name }) => !name.endsWith("-dev"))
  .map(toLimits)
  .filter(Boolean)
  .join("\n")}

## Every behaviour

${toList(behaviours, shown)}
`;
}

function toTable(all: readonly Outcome[], shown: readonly Mount[]): string {
  const groups = [...new Set(all.map(({ group }) => group))];
  const rows = groups.map((group) => {
    const cells = shown.map(({ name }) => toCount(all.filter((one) => one.group === group && one.mount === name)));
    return `| ${group} | ${cells.join(" | ")} |`;
  });
  return [`| | ${shown.map(({ name }) => name).join(" | ")} |`, `|---|${"---|".repeat(shown.length)}`, ...rows].join(
    "\n",
  );
}

function toCount(cell: readonly Outcome[]): string {
  const held = cell.filter(({ status }) => status === "passed");
  const limited = held.filter(({ limit }) => limit !== undefined).length;
  const failed = cell.filter(({ status }) => status === "failed").length;
  if (cell.length === 0 || held.length + failed === 0) return "–";
  const parts = [String(held.length - limited)];
  if (limited > 0) parts.push(`+${limited} limit${limited === 1 ? "" : "s"}`);
  if (failed > 0) parts.push(`**${failed} failed**`);
  return parts.join(" ");
}

function toSelfAnswers({ name, answersItself }: Mount): string {
  const answers = Object.entries(answersItself ?? {}).map(
    ([row, status]) => `${row.replace(/^.*?: /, "")} (${status})`,
  );
  return `- ${name}: ${answers.join(", ")}.`;
}

function toLimits({ name, limits, noSockets }: Mount): string {
  const lines = Object.entries(limits ?? {}).map(([limit, why]) => `- ${limit}: ${why}`);
  if (noSockets !== undefined) lines.push(`- WebSockets: ${noSockets}.`);
  return lines.length === 0 ? "" : `### ${name}\n\n${lines.join("\n")}\n`;
}

function toList(all: readonly Outcome[], shown: readonly Mount[]): string {
  const found = new Map<string, Map<string, Outcome>>();
  for (const one of all) {
    const row = `${one.group === "alone" ? "" : `${one.group}: `}${one.title}`;
    found.set(row, (found.get(row) ?? new Map<string, Outcome>()).set(one.mount, one));
  }
  const rows = [...found].map(([row, by]) => {
    const cells = shown.map(({ name }) => toMark(by.get(name)));
    return `| ${row.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("*", "\\*").replaceAll("_", "\\_")} | ${cells.join(" | ")} |`;
  });
  return [`| | ${shown.map(({ name }) => name).join(" | ")} |`, `|---|${"---|".repeat(shown.length)}`, ...rows].join(
    "\n",
  );
}

function toMark(one: Outcome | undefined): string {
  if (one === undefined) return "–";
  if (one.status !== "passed") return one.status === "failed" ? "**failed**" : "–";
  return one.limit === undefined ? "✓" : "limit";
}
