import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";

// What README.md and the packages' READMEs show is type-checked: every block of TypeScript that imports something, and options alone.

const root = join(import.meta.dirname, "..");
const pages = ["README.md", ...globSync("packages/*/README.md", { cwd: root })];

// What a block may take from the reader's app without importing it.
const userOfSession = "declare function userOfSession(cookie: string | undefined): Promise<{ id: string } | null>;\n";
const kitEnvironment = `declare module "$env/dynamic/private" { const env: Record<string, string | undefined>; }\n`;
const createKeyway = 'import { createKeyway } from "@keyway/core";\n';
const show = "declare function show(result: unknown): void;\n";

it("the READMEs' TypeScript is right", { timeout: 60_000 }, () => {
  const here = mkdtempSync(join(import.meta.dirname, "readmes-"));
  onTestFinished(() => rmSync(here, { recursive: true }));
  const blocks = pages.flatMap((page) =>
    [...readFileSync(join(root, page), "utf8").matchAll(/```ts\n([^]*?)```/g)].map(([, code = ""], at) => ({
      folder: `${page.replaceAll("/", "-")}-${at}`,
      code: /^[a-z]\w*: /.test(code) ? `${createKeyway}createKeyway({ authorize: () => null, ${code} });\n` : code,
    })),
  );
  const whole = blocks.filter(({ code }) => /^import /m.test(code));
  expect(whole.length).toBeGreaterThanOrEqual(pages.length);
  for (const { folder, code } of whole) {
    mkdirSync(join(here, folder));
    writeFileSync(join(here, folder, "block.ts"), code);
    writeFileSync(join(here, folder, "session.ts"), `export ${userOfSession}`);
  }
  writeFileSync(join(here, "given.d.ts"), userOfSession + show + kitEnvironment);
  writeFileSync(join(here, "keyway.ts"), `export declare const keyway: import("@keyway/core").Keyway;\n`);
  const options = {
    customConditions: ["@keyway/source"],
    lib: ["es2024", "dom", "dom.iterable"],
    types: ["node"],
    paths: { "@/lib/*": ["./*.ts"] },
  };
  const project = { extends: "../tsconfig.json", compilerOptions: options, include: ["**/*.ts"], references: [] };
  writeFileSync(join(here, "tsconfig.json"), JSON.stringify(project));
  expect(problemsOf(here)).toBe("");
});

function problemsOf(project: string): string {
  try {
    return execFileSync(join(root, "node_modules/.bin/tsc"), ["--noEmit", "-p", project], {
      encoding: "utf8",
      cwd: root,
    });
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout);
  }
}
