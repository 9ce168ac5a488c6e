import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A Python that has what requirements.txt names, or why there is none. */
export type Environment =
  | { readonly python: string; readonly version: string }
  | { readonly missing: string; readonly isFault: boolean };

const root = join(import.meta.dirname, "../..");
const requirements = join(import.meta.dirname, "requirements.txt");
/** What pip says when it does not reach the index; whatever else stops it is a fault. */
const unreached = /connection broken by|Retrying \(Retry|Could not connect|NewConnectionError|NameResolutionError/i;

/** Makes a virtual environment below node_modules, once for each version of Python and of requirements.txt. */
export function preparePython(): Environment {
  const given = process.env["PYTHON"] || "python3";
  const { status, stdout } = run(given, "-c", "import sys, venv, ensurepip; print(sys.version.split()[0])");
  const version = stdout.trim();
  if (status !== 0)
    return {
      missing:
        "no python3 with venv. Install it (apt-get install python3-venv, brew install python) or name one in PYTHON.",
      isFault: true,
    };
  const hash = createHash("sha256").update(version).update(readFileSync(requirements)).digest("hex").slice(0, 12);
  const folder = join(root, "node_modules/.cache", `keyway-python-${hash}`);
  const python = join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
  const ready = join(folder, "ready");
  if (existsSync(ready)) return { python, version };
  console.log(`installing fal-client for Python ${version}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const made = run(given, "-m", "venv", folder);
  if (made.status !== 0) return { missing: `a virtual environment cannot be made: ${made.stderr}`, isFault: true };
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--retries", "1"];
  const installed = run(python, ...pip, "--requirement", requirements);
  if (installed.status !== 0) {
    const isFault = !unreached.test(installed.stderr);
    return { missing: isFault ? installed.stderr : "PyPI cannot be reached.", isFault };
  }
  writeFileSync(ready, "");
  return { python, version };
}

function run(command: string, ...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 180_000 });
  return { status, stdout: stdout ?? "", stderr: stderr ?? "" };
}
