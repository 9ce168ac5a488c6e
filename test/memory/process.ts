import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { Upstream } from "../upstream.ts";
import type { Question, Report } from "./serve.ts";

/** A mount in a process of its own, so that what is measured is only what the proxy holds. */
export interface Served {
  readonly url: string;
  /** Largest growth of resident memory since the last question, in bytes. */
  grown(this: void): Promise<number>;
  /** Of what lay in V8's young generation since the last question, the share that outlived a quick collection. */
  survived(this: void): Promise<number>;
  /** Does nothing at all for so long, as a host app that computes. Resolves when that is over. */
  block(this: void, ms: number): Promise<void>;
  /** Undefined while it lives. */
  ended(this: void): number | string | undefined;
}

/** Starts a mount by name; it is stopped, with its upstream, when the test is over. */
export async function serve(name: string, upstream: Upstream, ...flags: readonly string[]): Promise<Served> {
  const child = fork(join(import.meta.dirname, "serve.ts"), [name, upstream.url], {
    execArgv: ["--conditions=@keyway/source", "--expose-gc", "--disable-warning=ExperimentalWarning", ...flags],
  });
  const ended = (): number | string | undefined => child.exitCode ?? child.signalCode ?? undefined;
  onTestFinished(async () => {
    const gone = ended() === undefined ? once(child, "exit") : undefined;
    child.kill("SIGKILL");
    await upstream.close();
    await gone;
  });
  const ask = async (question: Question): Promise<Report> => {
    child.send(question);
    return nextReport(child);
  };
  const { url = "" } = await nextReport(child);
  return {
    url,
    grown: async () => (await ask({ block: 0 })).grown ?? Number.NaN,
    survived: async () => (await ask({ block: 0 })).survived ?? Number.NaN,
    block: async (ms) => void (await ask({ block: ms })),
    ended,
  };
}

async function nextReport(child: ChildProcess): Promise<Report> {
  const [message] = (await once(child, "message")) as [Report];
  return message;
}
