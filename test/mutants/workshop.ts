import { spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, relative, sep } from "node:path";
import type { Fault } from "./faults.ts";

const root = join(import.meta.dirname, "..", "..");

/** A copy of the packages and the suite, in which faults can be planted. */
export interface Workshop {
  /** Plants a fault; answers what puts things right again. */
  readonly plant: (fault: Fault) => () => void;
  /** Runs test files until the first failure. */
  readonly run: (files: readonly string[]) => Promise<Outcome>;
  readonly close: () => void;
}

/** `broken`: the tests did not run at all. */
interface Outcome {
  readonly how: "green" | "red" | "broken";
  readonly output: string;
}

const left = new Set([
  "node_modules",
  "dist",
  "security",
  "bench",
  "browser",
  "frameworks",
  "fixtures",
  ".next",
  ".svelte-kit",
]);

export function createWorkshop(): Workshop {
  const folder = mkdtempSync(join(tmpdir(), "keyway-mutants-"));
  for (const name of ["package.json", "vitest.config.ts", "tsconfig.base.json", "tsconfig.json", "packages", "test"]) {
    const source = join(root, name);
    const isCopied = (path: string): boolean =>
      !relative(source, path)
        .split(sep)
        .some((part) => left.has(part));
    cpSync(source, join(folder, name), { recursive: true, filter: isCopied });
  }
  linkModules(folder);
  return {
    plant: (fault) => plant(fault, join(folder, "packages", fault.package, "src")),
    run: (files) => runTests(folder, files),
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Changes the sources below a folder, wherever the texts stand; tests beside them stay. */
function plant({ name, replace }: Fault, folder: string): () => void {
  const sources = new Map<string, string>();
  for (const file of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const path = join(folder, file);
    if (file.endsWith(".ts") && !file.endsWith(".test.ts")) sources.set(path, readFileSync(path, "utf8"));
  }
  const changed = new Map(sources);
  for (const [text, other] of Object.entries(replace)) {
    const holding = [...changed].filter(([, source]) => source.includes(text));
    if (holding.length === 0) throw new Error(`"${name}" cannot be planted: no source holds ${text}`);
    for (const [path, source] of holding) changed.set(path, source.replaceAll(text, other));
  }
  const write = (texts: ReadonlyMap<string, string>): void => {
    for (const [path, text] of texts) if (changed.get(path) !== sources.get(path)) writeFileSync(path, text);
  };
  write(changed);
  return () => write(sources);
}

/** Everything that is installed, but our own packages are those of the copy. */
function linkModules(folder: string): void {
  const modules = join(root, "node_modules");
  mkdirSync(join(folder, "node_modules", "@keyway"), { recursive: true });
  for (const name of readdirSync(modules)) {
    if (name !== "@keyway" && !name.startsWith("."))
      symlinkSync(join(modules, name), join(folder, "node_modules", name));
  }
  for (const name of readdirSync(join(modules, "@keyway"))) {
    const own = basename(realpathSync(join(modules, "@keyway", name)));
    symlinkSync(join(folder, "packages", own), join(folder, "node_modules", "@keyway", name));
  }
}

function runTests(folder: string, files: readonly string[]): Promise<Outcome> {
  const vitest = join(folder, "node_modules", "vitest", "vitest.mjs");
  const paths = files.map((file) => join("test", file));
  const child = spawn(process.execPath, [vitest, "run", "--bail=1", "--no-color", "--testTimeout=8000", ...paths], {
    cwd: folder,
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 180_000,
    killSignal: "SIGKILL",
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ how: howItWent(code, output), output }));
  });
}

function howItWent(code: number | null, output: string): Outcome["how"] {
  if (code === 0) return "green";
  const failed = /^\s+Tests\s+.*\d+ failed/m.test(output) || /Unhandled Errors?/.test(output);
  const hookFailed = /FAIL .*secrets\.test\.ts/.test(output);
  return failed || hookFailed ? "red" : "broken";
}
