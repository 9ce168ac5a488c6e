import { type ScriptRunner, type RedisClient, runnerOf } from "./client.ts";
import { script, scriptSha } from "./script.ts";

/** What is sent although earlier calls are late: these only give back what is held, and must follow what took it. */
const givesBack: readonly string[] = ["settle", "end", "bind"];
/** Calls that Redis has not answered yet, at most: some tens of megabytes. Thousands come at once when all sockets are opened anew. */
const mostPending = 10_000;
const notConnected = "Redis is not connected";

/** Calls the script within a time; rejects at once while Redis is away or does not answer. */
export interface Connection {
  readonly ask: (method: string, args: readonly string[]) => Promise<unknown>;
}

export function createConnection(client: RedisClient, prefix: string, within: number): Connection {
  const runner = runnerOf(client);
  let pending = 0;
  /** Calls that Redis has still not answered, although nobody waits for them any more. */
  const late = new Set<Promise<unknown>>();

  async function send(method: string, args: readonly string[]): Promise<unknown> {
    pending += 1;
    try {
      return await runScript(runner, prefix, [method, ...args]);
    } catch (error) {
      throw plainError(error);
    } finally {
      pending -= 1;
    }
  }

  function noteLate(answer: Promise<unknown>): void {
    const forget = (): void => void late.delete(answer);
    late.add(answer);
    answer.then(forget, forget);
  }

  return {
    async ask(method, args) {
      const started = performance.now();
      if (runner.state() === "connecting") await firstConnection(runner, within);
      if (runner.state() !== "ready") throw new Error(notConnected);
      if (pending >= mostPending || (late.size > 0 && !givesBack.includes(method)))
        throw new Error("Redis has not answered earlier calls yet");
      const answer = send(method, args);
      const left = started + within - performance.now();
      return inTime(answer, left, "Redis did not answer in time", () => noteLate(answer));
    },
  };
}

/** Runs the script by its name; a server that lost it gets it again, once. */
async function runScript(runner: ScriptRunner, prefix: string, args: readonly string[]): Promise<unknown> {
  try {
    return await runner.run(scriptSha, prefix, args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
    return runner.load(script, prefix, args);
  }
}

/** A call right after start waits for the connection instead of failing. */
async function firstConnection(runner: ScriptRunner, within: number): Promise<void> {
  const ready = new Promise<void>((resolve) => {
    runner.whenReady(resolve);
  });
  await inTime(ready, within, notConnected);
}

async function inTime<T>(answer: Promise<T>, ms: number, otherwise: string, onLate?: () => void): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => {
        onLate?.();
        reject(new Error(otherwise));
      },
      Math.max(0, ms),
    );
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** What a client throws may carry the command with its arguments: only the first line of its message goes on, without URLs. */
function plainError(error: unknown): Error {
  const message = error instanceof Error ? error.message : String(error);
  const line = message.split("\n", 1)[0] ?? "";
  return new Error(`Redis failed: ${line.replaceAll(/\brediss?:\/\/\S+/gi, "[redacted]").slice(0, 200)}`);
}
