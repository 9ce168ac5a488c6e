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

/** What a process was about to do with a delivery when it died. */
export type Moment = "claim" | "tell" | "mark" | "answer";

/** How a worker serves. */
export interface Serving {
  readonly webhookUrl?: string;
  /** Any free one by default. */
  readonly port?: number;
  /** A file that outlives the process: the app writes the job of every result into it, a line each. */
  readonly ledger?: string;
  /** The process ends itself by SIGKILL when it is about to do this. */
  readonly dies?: Moment;
}

export type Order =
  | ({ readonly do: "serve" } & Serving)
  | { readonly do: "told" }
  | { readonly do: "refused claims" }
  | { readonly do: "hold"; readonly count: number; readonly leaseMs: number }
  | { readonly do: "settle"; readonly jobs: readonly string[] }
  | { readonly do: "trade"; readonly calls: number };

export interface Worker {
  ask<T>(order: Order): Promise<T>;
  /** Ends it at once, as a crash does. */
  kill(): Promise<void>;
  /** Resolves with the signal that ended it. */
  readonly gone: Promise<NodeJS.Signals | null>;
}

export async function startWorker(start: Start): Promise<Worker> {
  const script = join(import.meta.dirname, "worker.ts");
  const execArgv = ["--conditions=@keyway/source", "--no-warnings"];
  const child = fork(script, [JSON.stringify(start)], { execArgv });
  const gone = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once("exit", (_code, signal) => resolve(signal));
  });
  await answerOf(child);
  return {
    gone,
    async ask<T>(order: Order) {
      child.send(order);
      return (await answerOf(child)) as T;
    },
    async kill() {
      child.kill("SIGKILL");
      await gone;
    },
  };
}

async function answerOf(child: ChildProcess): Promise<unknown> {
  const waiting = new AbortController();
  const { signal } = waiting;
  const died = once(child, "exit", { signal }).then(([code]) => {
    throw new Error(`the worker ended with ${String(code)}`);
  });
  const answered = once(child, "message", { signal });
  const [message]: { answer?: unknown; error?: string }[] = await Promise.race([answered, died]).finally(() =>
    waiting.abort(),
  );
  if (message?.error !== undefined) throw new Error(message.error);
  return message?.answer;
}
