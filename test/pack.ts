import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");

/** For commands that make or run an app in a folder of its own: no key, and nothing told to anybody. */
export const environment: NodeJS.ProcessEnv = { ...process.env, NEXT_TELEMETRY_DISABLED: "1", CI: "1", FAL_KEY: "" };

/** Packs packages as npm would publish them; answers the tarballs' paths. */
export function packAll(names: readonly string[], folder: string): string[] {
  return names.map((name) => {
    const packed = run(join(root, "packages", name), "npm", "pack", "--silent", "--pack-destination", folder);
    return join(folder, packed.trim().split("\n").at(-1) ?? "");
  });
}

/** Runs a command to its end and answers what it printed; throws with everything that it said when it fails. */
export function run(cwd: string, command: string, ...args: string[]): string {
  return runWithin(undefined, cwd, command, args);
}

/** Installs packages into a folder. npm may wait for its registry without end, so it has two minutes, and a second try. */
export function install(folder: string, packages: readonly string[]): void {
  const args = ["install", "--no-audit", "--no-fund", "--loglevel=error", ...packages];
  try {
    runWithin(120_000, folder, "npm", args);
  } catch {
    runWithin(120_000, folder, "npm", args);
  }
}

function runWithin(timeout: number | undefined, cwd: string, command: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env: environment, encoding: "utf8", timeout });
  if (status === 0 && existsSync(cwd)) return stdout;
  throw new Error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
}
