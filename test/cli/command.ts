import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished, vi } from "vitest";

// Every test starts processes, and a busy machine takes its time for that.
vi.setConfig({ testTimeout: 60_000 });

export const key = "fal-key-id:fal-key-secret-0123456789";
export const token = "token-0123456789abcdef";

/** What makes a gateway call an emulator, or another upstream of the tests. */
export function leadTo(upstream: { readonly url: string }): Readonly<Record<string, string>> {
  return { KEYWAY_UPSTREAM: upstream.url, NODE_ENV: "development" };
}

/** A gateway's environment; nothing of the test's own environment that could steer it. */
export const settings = { FAL_KEY: key, KEYWAY_TOKEN: token, KEYWAY_ENDPOINTS: "demo/**", KEYWAY_PORT: "0" };

export interface Surroundings {
  readonly env?: Readonly<Record<string, string>>;
  /** Files of the working directory. */
  readonly files?: Readonly<Record<string, string>>;
  /** What runs the command, such as a shell with limits; it gets the words of the command after these. */
  readonly through?: readonly string[];
  /** On a terminal of its own, by util-linux's `script`. */
  readonly terminal?: boolean;
  /** Standard output in place of a pipe that is read. */
  readonly stdout?: number;
  /** Tests that run at once bring their own. */
  readonly onFinished?: typeof onTestFinished;
}

/** The command as a process of its own, in an empty directory of its own. */
export interface Command {
  readonly child: ChildProcess;
  readonly folder: string;
  /** Everything printed so far. */
  readonly said: () => string;
  /** Waits for a line; the first group of the pattern, or the whole match. */
  readonly line: (pattern: RegExp) => Promise<string>;
  readonly exit: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

const program = fileURLToPath(new URL("../../packages/cli/src/command.ts", import.meta.url));
/** Halves what each of the many starts costs. */
const compiled = fileURLToPath(new URL("../../node_modules/.cache/keyway-cli", import.meta.url));

/** Starts the command; it is gone when the test is over. */
export function start(args: readonly string[], surroundings: Surroundings = {}): Command {
  const { env = {}, files = {}, through = [], terminal = false, stdout, onFinished = onTestFinished } = surroundings;
  const folder = mkdtempSync(join(tmpdir(), "keyway-cli-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const words = [...through, process.execPath, "--conditions=@keyway/source", program, ...args];
  const quoted = words.map((word) => `'${word}'`).join(" ");
  const [first = "", ...rest] = terminal ? ["script", "-qec", quoted, "/dev/null"] : words;
  const child = spawn(first, rest, {
    cwd: folder,
    env: { PATH: process.env["PATH"], NODE_NO_WARNINGS: "1", NODE_COMPILE_CACHE: compiled, ...env },
    stdio: ["ignore", stdout ?? "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  const exit = once(child, "close").then(([code, signal]) => ({ code, signal }));
  onFinished(async () => {
    child.kill("SIGKILL");
    await exit;
    rmSync(folder, { recursive: true, force: true });
  });
  return { child, folder, said: () => said, line: (pattern) => waitForLine(child, pattern, () => said), exit };
}

async function waitForLine(child: ChildProcess, pattern: RegExp, said: () => string): Promise<string> {
  for (;;) {
    const match = pattern.exec(said());
    if (match !== null) return match[1] ?? match[0];
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended and said:\n${said()}`);
    const streams = [child.stdout, child.stderr].filter((stream) => stream !== null);
    await Promise.race([...streams.map((stream) => once(stream, "data")), once(child, "close")]);
  }
}

/** Starts a gateway and answers it with the URL of its mount. */
export async function startGateway(
  args: readonly string[],
  surroundings: Surroundings = {},
): Promise<Command & { readonly url: string }> {
  const command = start(["serve", ...args], { ...surroundings, env: { ...settings, ...surroundings.env } });
  return { ...command, url: await command.line(/gateway is at (\S+)/) };
}
