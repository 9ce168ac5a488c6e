// Installs the command from packed tarballs into an empty folder, and runs the gateway there as a newcomer would. Needs the package registry.
import { type ChildProcess, spawn } from "node:child_process";
import { deepEqual, equal, match } from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { environment, install, packAll } from "./pack.ts";

interface Running {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly left: Promise<number | null>;
}

const folder = mkdtempSync(join(tmpdir(), "keyway-packed-"));
const running: Running[] = [];
const three = {
  FAL_KEY: "key-id:key-secret-0123456789",
  KEYWAY_TOKEN: "token-0123456789abcdef",
  KEYWAY_ENDPOINTS: "demo/**",
};

try {
  const tarballs = packAll(["core", "node", "redis", "emulator", "cli"], folder);
  install(folder, tarballs);
  await saysWhatIsMissing();
  const emulator = start(["emulator", "--port", "0"]);
  const upstream = await lineOf(emulator, /KEYWAY_UPSTREAM=(\S+)/);
  await answersCalls(upstream);
  await readsTypeScript(upstream);
  console.log("keyway serve, emulator and doctor work from packed tarballs in an empty folder");
} finally {
  for (const { child, left } of running) {
    child.kill("SIGKILL");
    await left;
  }
  rmSync(folder, { recursive: true, force: true });
}

async function saysWhatIsMissing(): Promise<void> {
  for (const name of ["FAL_KEY", "KEYWAY_TOKEN", "KEYWAY_ENDPOINTS"] as const) {
    const { left, said } = start(["serve"], { ...three, [name]: "" });
    equal(await left, 2);
    match(said(), new RegExp(`Add a line to the environment: ${name}=`));
  }
  const { left, said } = start(["serve"], { ...three, KEYWAY_REDIS_URL: "redis://127.0.0.1:6379" });
  equal(await left, 2);
  match(said(), /npm install @keyway\/cli ioredis/);
}

async function answersCalls(upstream: string): Promise<void> {
  const gateway = start(["serve", "--dev", "--port", "0"], { ...three, KEYWAY_UPSTREAM: upstream });
  const url = await lineOf(gateway, /gateway is at (\S+)/);
  deepEqual([await call(url, three.KEYWAY_TOKEN), await call(url, "another-token-01234")], [200, 401]);
  const doctor = start(["doctor", url, "--online"], { ...three, KEYWAY_UPSTREAM: upstream });
  equal(await doctor.left, 0);
  match(doctor.said(), /ok +mount +callers are let in\nok +upgrade +WebSocket handshakes reach the proxy/);
  gateway.child.kill("SIGTERM");
  equal(await gateway.left, 0);
  match(gateway.said(), /Closed: 0 calls ended/);
}

async function readsTypeScript(upstream: string): Promise<void> {
  writeFileSync(
    join(folder, "keyway.config.ts"),
    `import { type GatewayConfig, defineConfig } from "@keyway/cli";
const config: GatewayConfig = { authorize: ({ headers }) => (headers.has("authorization") ? { id: "ada" } : null), endpoints: ["demo/**"] };
export default defineConfig(config);`,
  );
  const gateway = start(["serve", "--dev", "--port", "0"], { FAL_KEY: three.FAL_KEY, KEYWAY_UPSTREAM: upstream });
  equal(await call(await lineOf(gateway, /gateway is at (\S+)/), "anything"), 200);
}

/** Runs the command that npm linked. */
function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const child = spawn(join(folder, "node_modules/.bin/keyway"), args, { cwd: folder, env: { ...environment, ...env } });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const left = once(child, "close").then(([code]) => code as number | null);
  const one = { child, said: () => said, left };
  running.push(one);
  return one;
}

async function lineOf({ child, said }: Running, pattern: RegExp): Promise<string> {
  for (;;) {
    const found = pattern.exec(said())?.[1];
    if (found !== undefined) return found;
    if (child.exitCode !== null || child.stdout === null) throw new Error(`it ended and said:\n${said()}`);
    await Promise.race([once(child.stdout, "data"), once(child, "close")]);
  }
}

async function call(url: string, bearer: string): Promise<number> {
  const headers = {
    authorization: `Bearer ${bearer}`,
    "content-type": "application/json",
    "x-fal-target-url": "https://fal.run/demo/echo",
  };
  return (await fetch(url, { method: "POST", headers, body: "{}" })).status;
}
