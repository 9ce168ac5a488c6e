import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import type { ExampleName } from "../browser/example.ts";

/** Ways of calling, in the order of the table. */
const patterns = {
  run: "run",
  subscribe: "subscribe, with logs",
  queue: "queue: submit, status, result",
  cancel: "queue: cancel",
  stream: "stream",
  realtime: "realtime",
  webhook: "webhook",
  headers: "headers, hint, priority, start timeout",
  upload: "upload",
  errors: "errors and refusals",
} as const;

export type Pattern = keyof typeof patterns;

/** One check of one client through one example. */
export interface Outcome {
  readonly app: ExampleName;
  readonly client: "javascript" | "python sync" | "python async";
  readonly pattern: Pattern | "documentation";
  readonly title: string;
  readonly passed: boolean;
}

const root = join(import.meta.dirname, "../..");
const page = join(root, "docs/clients.md");
const clients = ["javascript", "python sync", "python async"] as const;
const apps = ["express", "nextjs", "sveltekit"] as const;

/** Puts what held into docs/clients.md, between the two marks there, and answers it. */
export function writeTable(outcomes: readonly Outcome[]): string {
  const columns = clients.flatMap((client) => apps.map((app) => ({ client, app })));
  const head = columns.map(({ client, app }) => `${client}, ${app}`);
  const rows = Object.entries(patterns).map(([pattern, name]) => {
    const cells = columns.map((column) => {
      const found = outcomes.filter(
        (one) => one.pattern === pattern && one.client === column.client && one.app === column.app,
      );
      return found.length === 0 ? "–" : String(found.filter(({ passed }) => passed).length);
    });
    return `| ${name} | ${cells.join(" | ")} |`;
  });
  const table = [`| | ${head.join(" | ")} |`, `|---|${"---|".repeat(columns.length)}`, ...rows].join("\n");
  const text = readFileSync(page, "utf8");
  const written = text.replace(/(<!-- table -->\n)[^]*(<!-- end of the table -->)/, `$1\n${table}\n\n$2`);
  writeFileSync(page, written);
  spawnSync(join(root, "node_modules/.bin/oxfmt"), [page], { cwd: root, stdio: "inherit" });
  return table;
}
