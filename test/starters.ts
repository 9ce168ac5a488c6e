// Makes a fresh app with each framework's own starter, installs Keyway from packed tarballs, copies the snippet of the package's README
// into it, and runs it. Needs the package registry.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { environment, packAll, run } from "./pack.ts";
import { freePort, startUpstream } from "./upstream.ts";

interface Starter {
  readonly name: string;
  /** What is made. */
  readonly label: string;
  /** The starter's package. */
  readonly starter: string;
  readonly create: string;
  /** The command of the app's framework, in its node_modules. */
  readonly command: string;
  readonly dev: (port: number) => readonly string[];
  /** Packages to pack, the door last. */
  readonly packages: readonly string[];
  /** What is changed in the fresh app before anything is installed. */
  readonly change?: (app: string) => void;
}

const starters: readonly Starter[] = [
  nextStarter("16.4.3"),
  nextStarter("15"),
  nextStarter("14"),
  kitStarter("SvelteKit 2, as it makes it"),
  kitStarter("SvelteKit 3", raiseKit),
];

function kitStarter(label: string, change?: Starter["change"]): Starter {
  return {
    name: "sveltekit",
    label,
    starter: "sv@0.17.1",
    create: "sv create app --template minimal --types ts --no-add-ons --no-install",
    command: "vite/bin/vite.js",
    dev: (port) => ["dev", "--port", String(port), "--host", "127.0.0.1", "--strictPort"],
    packages: ["core", "node", "sveltekit"],
    ...(change === undefined ? {} : { change }),
  };
}

/** The starter makes an app for SvelteKit 2: this is what its migration to 3 changes, with the versions of our own example. */
function raiseKit(app: string): void {
  const ours = readJson(join(root, "examples/sveltekit/package.json"));
  const made = readJson(join(app, "package.json"));
  const { "@sveltejs/adapter-auto": _auto, ...others } = made.devDependencies;
  write(
    "package.json",
    JSON.stringify({ ...made, imports: ours.imports, devDependencies: { ...others, ...ours.devDependencies } }),
  );
  change("vite.config.ts", "@sveltejs/adapter-auto", "@sveltejs/adapter-node");
  change("src/routes/+layout.svelte", "$lib/", "#lib/");
  change("tsconfig.json", "./.svelte-kit/tsconfig.json", "$app/tsconfig");

  function change(file: string, before: string, after: string): void {
    const text = readFileSync(join(app, file), "utf8");
    if (!text.includes(before)) throw new Error(`the starter's ${file} does not say ${before}`);
    write(file, text.replace(before, after));
  }
  function write(file: string, text: string): void {
    writeFileSync(join(app, file), text);
  }
}

interface Manifest {
  readonly imports?: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

function readJson(file: string): Manifest {
  return JSON.parse(readFileSync(file, "utf8"));
}

function nextStarter(version: string): Starter {
  const flags = "--empty --ts --app --no-src-dir --no-eslint --no-tailwind --import-alias @/* --use-npm --skip-install";
  return {
    name: "nextjs",
    label: `Next.js ${version.split(".")[0]}`,
    starter: `create-next-app@${version}`,
    create: `create-next-app app ${flags} --disable-git --yes`,
    command: "next/dist/bin/next",
    dev: (port) => ["dev", "--port", String(port), "--hostname", "127.0.0.1"],
    packages: ["core", "node", "nextjs"],
  };
}

const root = join(import.meta.dirname, "..");

const [wanted = ""] = process.argv.slice(2);
for (const starter of starters.filter(({ label }) => label.includes(wanted))) await tryStarter(starter);

async function tryStarter(given: Starter): Promise<void> {
  const { name, label, starter, create, command, dev, packages } = given;
  const folder = mkdtempSync(join(tmpdir(), `keyway-starter-${name}-`));
  const app = join(folder, "app");
  try {
    run(folder, "npm", "exec", "--yes", `--package=${starter}`, "--", ...create.split(" "));
    given.change?.(app);
    const tarballs = packAll(packages, folder);
    run(app, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error", ...tarballs);
    const file = writeSnippet(name, app);
    run(app, "npm", "run", "build");
    await callThrough(join(app, "node_modules", command), dev, app);
    console.log(`${label} by ${starter}: ${file} from the README builds and answers in a fresh app`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The first block of the README names its file in its first line. */
function writeSnippet(name: string, app: string): string {
  const readme = readFileSync(join(root, "packages", name, "README.md"), "utf8");
  const [, file = "", code = ""] = /```ts\n\/\/ (\S+)\n([^]*?)```/.exec(readme) ?? [];
  const lines = code.trim().split("\n").length + 1;
  if (lines > 12) throw new Error(`the snippet of ${name} has ${lines} lines`);
  mkdirSync(dirname(join(app, file)), { recursive: true });
  writeFileSync(join(app, file), code);
  return file;
}

async function callThrough(command: string, dev: Starter["dev"], app: string): Promise<void> {
  const upstream = await startUpstream();
  const port = await freePort();
  const child = spawn(process.execPath, [command, ...dev(port)], {
    cwd: app,
    env: { ...environment, KEYWAY_UPSTREAM: upstream.url },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    const allowed = await call(child, port, "https://fal.run/fal-ai/flux/dev");
    const refused = await call(child, port, "https://fal.run/other/app");
    const keys = upstream.arrivals.map((arrival) => arrival.values("authorization").join());
    if (allowed !== 200 || refused !== 403 || keys.join() !== "Key emulator")
      throw new Error(`answered ${allowed} and ${refused}, sent ${keys.join()}`);
  } finally {
    const left = once(child, "exit");
    child.kill("SIGTERM");
    await left;
    await upstream.close();
  }
}

/** Calls until the server is there. */
async function call(child: ChildProcess, port: number, target: string): Promise<number> {
  for (;;) {
    if (child.exitCode !== null) throw new Error("the server left");
    try {
      const headers = { "content-type": "application/json", "x-fal-target-url": target };
      const url = `http://127.0.0.1:${port}/api/fal/proxy`;
      return (await fetch(url, { method: "POST", headers, body: "{}" })).status;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}
