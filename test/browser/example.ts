import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** How each example is started: Express as `npm start` does, the others from their builds. */
const servers = {
  express: "express/server.ts",
  nextjs: "nextjs/start.ts",
  sveltekit: "sveltekit/start.ts",
} as const;

export type ExampleName = keyof typeof servers;

/** An example in a process of its own. */
export interface Example {
  readonly port: number;
  /** What it has printed since it listens. */
  readonly said: () => string;
  /** Asks it to leave, and waits until it has. Rejects when it left badly. */
  readonly close: () => Promise<void>;
}

/** Starts an example on a free port unless `PORT` is given. */
export async function startExample(
  name: ExampleName,
  env: Readonly<Record<string, string>>,
  flags: readonly string[] = [],
): Promise<Example> {
  const server = join(import.meta.dirname, "../../examples", servers[name]);
  const child = spawn(process.execPath, ["--conditions=@keyway/source", server, ...flags], {
    env: { PATH: process.env["PATH"], PORT: "0", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await portOf(child);
  let said = "";
  child.stdout.on("data", (bytes: Buffer) => (said += bytes.toString()));
  return {
    port,
    said: () => said,
    async close() {
      const left = once(child, "exit");
      child.kill("SIGTERM");
      const [code, signal]: unknown[] = await left;
      if (code !== 0) throw new Error(`The example left with ${String(code ?? signal)}.`);
    },
  };
}

async function portOf({ stdout }: ChildProcess): Promise<number> {
  if (stdout === null) throw new Error("no output");
  for await (const line of createInterface(stdout)) {
    const port = /^Keyway's example is at https?:.*:(\d+)$/.exec(line)?.[1];
    if (port === undefined) continue;
    stdout.resume();
    return Number(port);
  }
  throw new Error("The example left before it listened.");
}
