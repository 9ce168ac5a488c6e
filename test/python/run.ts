/**
 * fal's Python client and its JavaScript client through the three examples: `npm run test:python`. Writes what held into the table of
 * docs/clients.md. Needs python3 and the Python package index.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setDefaultCACertificates } from "node:tls";
import { createAuthority } from "../certificates.ts";
import { type App, startApp } from "./apps.ts";
import { preparePython } from "./environment.ts";
import { createFal, keysIn, startHooks } from "./fal.ts";
import { type Outcome, writeTable } from "./table.ts";

interface Command {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

const here = import.meta.dirname;
const environment = preparePython();
if ("missing" in environment) {
  const { missing, isFault } = environment;
  const fails = isFault && (process.env["CI"] ?? "") !== "";
  console.log(`${fails ? "failed" : "skipped"}: ${missing}`);
  process.exit(fails ? 1 : 0);
}
const folder = mkdtempSync(join(tmpdir(), "keyway-python-"));
const authority = createAuthority();
const certificates = join(folder, "authority.pem");
writeFileSync(certificates, authority.cert);

setDefaultCACertificates([authority.cert]); // webhooks are delivered from here
const emulator = createFal();
const { url: upstream } = await emulator.listen();
const hooks = await startHooks(authority.issue(["localhost"]));
const started = await Promise.allSettled(
  (["express", "nextjs", "sveltekit"] as const).map((name) =>
    startApp(name, { upstream, hooks: hooks.origin, certificate: authority.issue(["localhost"]) }),
  ),
);
const apps = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
const faults = started.flatMap((one) => (one.status === "rejected" ? [String(one.reason)] : []));
let outcomes: Outcome[] = [];
try {
  if (faults.length === 0) outcomes = (await Promise.all(apps.map(callThrough))).flat();
  const keys = keysIn(emulator);
  if (keys.join() !== "Key emulator") faults.push(`these keys reached fal: ${keys.join(", ")}`);
} finally {
  const closed = await Promise.allSettled(apps.map((app) => app.close()));
  for (const one of closed) if (one.status === "rejected") faults.push(String(one.reason));
  await emulator.close();
  hooks.close();
  rmSync(folder, { recursive: true });
}
report();

/** Both clients through one app, one after the other, each in a process of its own. */
async function callThrough(app: App): Promise<Outcome[]> {
  if ("missing" in environment) return [];
  const pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short", here];
  const commands: readonly Command[] = [
    { name: "python", command: environment.python, args: pytest },
    {
      name: "javascript",
      command: process.execPath,
      args: ["--conditions=@keyway/source", join(here, "javascript.ts")],
    },
  ];
  const token = await signIn(app);
  const found: Outcome[] = [];
  for (const one of commands) found.push(...(await runClient(one, app, token)));
  return found;
}

async function signIn({ port }: App): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/api/session`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ user: "ada" }),
  });
  const { token } = (await answer.json()) as { readonly token: string };
  return token;
}

async function runClient({ name, command, args }: Command, app: App, token: string): Promise<Outcome[]> {
  const file = join(folder, `${app.name}-${name}.json`);
  const host = `${app.origin.slice("https://".length)}/api/fal/proxy`;
  const child = spawn(command, args, {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      FAL_KEY: token,
      FAL_RUN_HOST: `${host}/fal.run`,
      FAL_QUEUE_RUN_HOST: `${host}/queue.fal.run`,
      SSL_CERT_FILE: certificates,
      NODE_EXTRA_CA_CERTS: certificates,
      PYTHONDONTWRITEBYTECODE: "1",
      KEYWAY_MOUNT: `https://${host}`,
      KEYWAY_EMULATOR: upstream,
      KEYWAY_HOOKS: hooks.origin,
      KEYWAY_OUTCOMES: file,
    },
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => (said += String(bytes)));
  const [code]: unknown[] = await once(child, "close");
  if (code !== 0) console.log(`${app.name}, ${name}:\n${said}`);
  if (code !== 0 && code !== 1) faults.push(`${name} through ${app.name} left with ${String(code)}`);
  const read = JSON.parse(readFileSync(file, "utf8")) as Omit<Outcome, "app">[];
  return read.map((outcome) => ({ ...outcome, app: app.name }));
}

function report(): void {
  const failed = outcomes.filter(({ passed }) => !passed);
  for (const { app, client, title } of failed) console.log(`failed: ${app}, ${client}: ${title}`);
  for (const fault of faults) console.log(`failed: ${fault}`);
  const counts = { numPassedTests: outcomes.length - failed.length, numFailedTests: failed.length + faults.length };
  const [flag, file] = process.argv[2]?.split("=") ?? [];
  if (flag === "--outputFile.json" && file !== undefined) writeFileSync(file, JSON.stringify(counts));
  if (counts.numFailedTests === 0) console.log(writeTable(outcomes));
  console.log(`${counts.numPassedTests} passed, ${counts.numFailedTests} failed`);
  process.exitCode = counts.numFailedTests === 0 && outcomes.length > 0 ? 0 : 1;
}
