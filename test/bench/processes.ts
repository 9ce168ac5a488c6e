import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** The proxies' core, and the one of load and upstream. */
export const cores = { proxy: 0, load: 1 } as const;

/** Whether processes can be tied to cores here. */
export const pinned: boolean = availableParallelism() > 1 && spawnSync("taskset", ["--version"]).error === undefined;

/** Ties this process, and what it starts from now on, to the load's core. */
export function pinLoad(): void {
  if (pinned) spawnSync("taskset", ["-a", "-c", "-p", String(cores.load), String(process.pid)]);
}

/** The command line that runs a program on a core. */
export function onCore(core: number, command: readonly string[]): [string, ...string[]] {
  const [program = "", ...rest] = command;
  return pinned ? ["taskset", "-c", String(core), program, ...rest] : [program, ...rest];
}

const children = new Set<ChildProcess>();

export function adopt(child: ChildProcess): ChildProcess {
  children.add(child);
  child.once("exit", () => children.delete(child));
  return child;
}

export function stopAll(): void {
  for (const child of children) child.kill("SIGKILL");
}

/** Starts a module of this folder in a process of its own and waits for its first message. */
export async function startModule<T>(
  file: string,
  args: readonly string[],
  core: number,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly child: ChildProcess; readonly said: T }> {
  const flags = ["--conditions=@keyway/source", "--expose-gc", "--disable-warning=ExperimentalWarning"];
  const [execPath, ...execArgv] = onCore(core, [process.execPath, ...flags]);
  const child = adopt(
    fork(join(import.meta.dirname, file), args, {
      execPath,
      execArgv,
      env: { ...process.env, NODE_ENV: "production", ...env },
      stdio: ["ignore", "ignore", "inherit", "ipc"],
    }),
  );
  return { child, said: await ask<T>(child) };
}

/** Sends a question, if there is one, and waits for the next message. */
export async function ask<T>(child: ChildProcess, question?: string): Promise<T> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const answer = Promise.race([
    once(child, "message", { signal }),
    once(child, "exit", { signal }).then(([code]) => {
      throw new Error(`a process of the bench ended with ${String(code)}`);
    }),
  ]);
  try {
    if (question !== undefined) child.send(question);
    const [message] = (await answer) as [T];
    return message;
  } finally {
    waiting.abort();
  }
}

/** CPU that a process has used so far, all its threads, in µs (proc_pid_schedstat: time on the CPU in ns); 0 is no process. */
export function cpuOf(pid: number): number {
  let nanos = 0;
  if (pid === 0) return nanos;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanos += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
    } catch {
      // The thread ended between the two reads.
    }
  }
  return nanos / 1000;
}

/** Resident memory in bytes, now and at its highest since {@link forgetPeak}. */
export function memoryOf(pid: number): { readonly now: number; readonly peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const read = (name: string): number => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
  return { now: read("VmRSS"), peak: read("VmHWM") };
}

/** Starts the peak anew (proc_pid_clear_refs: 5). */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}
