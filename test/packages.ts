// Checks each package as npm would publish it: its manifest (publint) and its types (are the types wrong).
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const packages = readdirSync(join(root, "packages")).filter((name) =>
  existsSync(join(root, "packages", name, "package.json")),
);
let failed = 0;

function run(command: string, ...args: string[]): void {
  const { status, stdout, stderr } = spawnSync(join(root, "node_modules", ".bin", command), args, {
    cwd: root,
    encoding: "utf8",
  });
  if (status === 0) return;
  failed += 1;
  console.error(`${command} ${args.join(" ")} failed:\n${stdout}${stderr}`);
}

for (const name of packages) {
  const folder = join("packages", name);
  const manifest: { private?: boolean } = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  if (manifest.private === true) continue;
  run("publint", "--strict", folder);
  run("attw", "--profile", "esm-only", "--pack", folder);
}
console.log(`${packages.length} packages checked, ${failed} problems`);
process.exit(failed === 0 ? 0 : 1);
