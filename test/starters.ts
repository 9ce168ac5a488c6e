// Makes a fresh app with each framework's own starter, installs Keyway from packed tarballs, copies the snippet of the package's README
// into it, and runs it. Needs the package registry.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { environment, packAll, run } from "./pack.ts";
import { WebSocket, WebSocketServer } from "ws";
import { type Upstream, freePort, startUpstream } from "./upstream.ts";

interface Starter {
  readonly name: string;
  /** What is made. */
  readonly label: string;
  /** The starter's package. */
  readonly starter: string;
  readonly create: string;
  /** How its framework serves the app, by name. */
  readonly servers: Readonly<Record<string, Serve>>;
  /** Packages to pack, the door last. */
  readonly packages: readonly string[];
  /** What is changed in the fresh app before anything is installed. */
  readonly change?: (app: string) => void;
}

/** What Node runs in the app's folder to listen on a port. */
interface Serve {
  /** Below the app's folder. */
  readonly module: string;
  readonly args: (port: number) => readonly string[];
  /** The variable that names the port, where no argument does. */
  readonly portVariable?: string;
  /** Whether it carries WebSockets as set up here. */
  readonly sockets: boolean;
}

const starters: readonly Starter[] = [
  nextStarter("16.4.3"),
  nextStarter("15"),
  nextStarter("14"),
  kitStarter("SvelteKit 2, as it makes it, with adapter-node 5", adaptToNode),
  kitStarter("SvelteKit 3", raiseKit),
];

function kitStarter(label: string, change: (app: string) => void): Starter {
  const vite = (command: string): Serve => ({
    module: "node_modules/vite/bin/vite.js",
    args: (port) => [command, "--port", String(port), "--host", "127.0.0.1", "--strictPort"],
    sockets: true,
  });
  return {
    name: "sveltekit",
    label,
    starter: "sv@0.17.1",
    create: "sv create app --template minimal --types ts --no-add-ons --no-install",
    servers: {
      "vite dev": vite("dev"),
      "vite preview": vite("preview"),
      "node build": { module: "build/index.js", args: () => [], portVariable: "PORT", sockets: true },
    },
    packages: ["core", "node", "sveltekit"],
    change(app) {
      change(app);
      addSockets(app);
    },
  };
}

/** Real-time as docs/real-time.md has it: `attachToServers` in the hooks, and the plugin for `vite dev`. */
function addSockets(app: string): void {
  writeFileSync(
    join(app, "src/hooks.server.ts"),
    `import { attachToServers, createKeyway } from "@keyway/sveltekit";
attachToServers(createKeyway({ authorize: "public", endpoints: ["fal-ai/**"], limits: { global: { streams: 9 } } }));
`,
  );
  replaceIn(app, "vite.config.ts", "plugins: [", "plugins: [sockets(), ");
  const config = join(app, "vite.config.ts");
  writeFileSync(config, `import { sockets } from "@keyway/sveltekit/vite";\n${readFileSync(config, "utf8")}`);
}

/** The starter's adapter finds no platform here. */
function adaptToNode(app: string): void {
  const made = readJson(join(app, "package.json"));
  const { "@sveltejs/adapter-auto": _auto, ...others } = made.devDependencies;
  const devDependencies = { ...others, "@sveltejs/adapter-node": "5.5.7" };
  writeFileSync(join(app, "package.json"), JSON.stringify({ ...made, devDependencies }));
  replaceIn(app, "vite.config.ts", "@sveltejs/adapter-auto", "@sveltejs/adapter-node");
}

/** The starter makes an app for SvelteKit 2: this is what its migration to 3 changes, with the versions of our own example. */
function raiseKit(app: string): void {
  const ours = readJson(join(root, "examples/sveltekit/package.json"));
  const made = readJson(join(app, "package.json"));
  const { "@sveltejs/adapter-auto": _auto, ...others } = made.devDependencies;
  const imports = { ...made, imports: ours.imports, devDependencies: { ...others, ...ours.devDependencies } };
  writeFileSync(join(app, "package.json"), JSON.stringify(imports));
  replaceIn(app, "vite.config.ts", "@sveltejs/adapter-auto", "@sveltejs/adapter-node");
  replaceIn(app, "src/routes/+layout.svelte", "$lib/", "#lib/");
  replaceIn(app, "tsconfig.json", "./.svelte-kit/tsconfig.json", "$app/tsconfig");
}

function replaceIn(app: string, file: string, before: string, after: string): void {
  const path = join(app, file);
  const text = readFileSync(path, "utf8");
  if (!text.includes(before)) throw new Error(`the starter's ${file} does not say ${before}`);
  writeFileSync(path, text.replace(before, after));
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
    servers: {
      "next dev": {
        module: "node_modules/next/dist/bin/next",
        args: (port) => ["dev", "--port", String(port), "--hostname", "127.0.0.1"],
        sockets: false,
      },
      "a server of its own": { module: "server.mjs", args: () => [], portVariable: "PORT", sockets: true },
    },
    change: (app) => writeFileSync(join(app, "server.mjs"), nextServer),
    packages: ["core", "node", "nextjs"],
  };
}

/** A custom server, as Next's documentation has it, with real-time as docs/real-time.md has it. */
const nextServer = `import { createServer } from "node:http";
import { attach, createKeyway } from "@keyway/nextjs";
import next from "next";

const port = Number(process.env.PORT);
const app = next({ dev: true, hostname: "127.0.0.1", port });
const handle = app.getRequestHandler();
await app.prepare();
const server = createServer((request, response) => handle(request, response));
attach(server, createKeyway({ authorize: "public", endpoints: ["fal-ai/**"], limits: { global: { streams: 9 } } }));
server.listen(port, "127.0.0.1");
`;

const root = join(import.meta.dirname, "..");

const [wanted = ""] = process.argv.slice(2);
for (const starter of starters.filter(({ label }) => label.includes(wanted))) await tryStarter(starter);

async function tryStarter(given: Starter): Promise<void> {
  const { name, label, starter, create, servers, packages } = given;
  const folder = mkdtempSync(join(tmpdir(), `keyway-starter-${name}-`));
  const app = join(folder, "app");
  try {
    run(folder, "npm", "exec", "--yes", `--package=${starter}`, "--", ...create.split(" "));
    given.change?.(app);
    const tarballs = packAll(packages, folder);
    run(app, "npm", "install", "--no-audit", "--no-fund", "--loglevel=error", ...tarballs);
    const file = writeSnippet(name, app);
    run(app, "npm", "run", "build");
    for (const serve of Object.values(servers)) await callThrough(serve, app);
    const how = Object.keys(servers).join(", ");
    console.log(`${label} by ${starter}: ${file} from the README builds and answers in a fresh app (${how})`);
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

async function callThrough({ module, args, portVariable, sockets }: Serve, app: string): Promise<void> {
  const upstream = await startUpstream();
  const port = await freePort();
  const chosen = portVariable === undefined ? {} : { [portVariable]: String(port), HOST: "127.0.0.1" };
  const child = spawn(process.execPath, [module, ...args(port)], {
    cwd: app,
    // Vite's preview calls itself production otherwise, and there nothing leads away from fal.ai.
    env: { ...environment, ...chosen, NODE_ENV: "development", KEYWAY_UPSTREAM: upstream.url },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    const allowed = await call(child, port, "https://fal.run/fal-ai/flux/dev");
    const refused = await call(child, port, "https://fal.run/other/app");
    const keys = upstream.arrivals.map((arrival) => arrival.values("authorization").join());
    if (allowed !== 200 || refused !== 403 || keys.join() !== "Key emulator")
      throw new Error(`answered ${allowed} and ${refused}, sent ${keys.join()}`);
    if (sockets) await echoThrough(port, upstream);
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

/** A message goes to upstream and comes back. */
async function echoThrough(port: number, upstream: Upstream): Promise<void> {
  const server = new WebSocketServer({ noServer: true });
  upstream.upgrade((request, socket, head) =>
    server.handleUpgrade(request, socket, head, (opened) => opened.on("message", (data) => opened.send(data))),
  );
  const socket = new WebSocket(`ws://127.0.0.1:${port}/api/fal/proxy/fal.run/fal-ai/lcm/realtime`);
  await once(socket, "open");
  socket.send("ping");
  const [data] = (await once(socket, "message")) as [Buffer];
  socket.terminate();
  if (String(data) !== "ping") throw new Error(`a message came back as ${String(data)}`);
}
