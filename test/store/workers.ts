import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { ClientName } from "./clients.ts";

/** What a worker is told when it starts. */
export interface Start {
  readonly client: ClientName;
  readonly port: number;
  readonly namespace: string;
  readonly upstream?: { readonly url: string; readonly key: string };
}

export type Order =
  | { readonly do: "serve"; readonly webhookUrl?: string }
  | { readonly do: "told" }
  | { readonly do: "hold"; readonly count: number; readonly leaseMs: number }
  | { readonly do: "settle"; readonly jobs: readonly string[] }
  | { readonly do: "trade"; readonly calls: number };

export interface Worker {
  ask<T>(order: Order): Promise<T>;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
}

export async function startWorker(start: Start): Promise<Worker> {
  const script = join(import.meta.dirname, "worker.ts");
  const execArgv = ["--conditions=@keyway/source", "--no-warnings"];
  const child = fork(script, [JSON.stringify(start)], { execArgv });
  await answerOf(child);
  return {
    async ask<T>(order: Order) {
      child.send(order);
      return (await answerOf(child)) as T;
    },
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, "exit");
      child.kill("SIGKILL");
      await gone;
    },
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const died = once(child, "exit").then(([code]) => {
    throw new Error(`the worker ended with ${String(code)}`);
  });
  const [message]: { answer?: unknown; error?: string }[] = await Promise.race([once(child, "message"), died]);
  died.catch(() => undefined);
  if (message?.error !== undefined) throw new Error(message.error);
  return message?.answer;
}
