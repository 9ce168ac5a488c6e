import type { ClientRequest } from "node:http";
import { inspect } from "node:util";
import type { Authorize, CallEvent, DecisionEvent, KeywayOptions, ObserveEvent } from "@keyway/core";
import { onTestFinished, vi } from "vitest";
import { type Upstream, startUpstream } from "../upstream.ts";
import { type HeaderLine, type Incoming, type Received, type Sent, open, send, start } from "../wire.ts";
import type { Mount, Mounted } from "./mount.ts";

/** A request to the proxy: JSON by `ada` with POST unless it says otherwise. */
interface Asked extends Sent {
  /** Whose bearer is sent; null for none. */
  readonly as?: string | null;
  /** The content-type; null for none. */
  readonly type?: string | null;
}

/** A mount with an upstream behind it, for the length of one test. */
export interface Stage {
  readonly upstream: Upstream;
  readonly mounted: Mounted;
  /** What the app's operator read. */
  readonly log: readonly string[];
  readonly events: readonly ObserveEvent[];
  /** The event of the first call that has ended. */
  readonly ended: () => Promise<CallEvent>;
  /** Asks in header form and waits for the whole answer. */
  readonly ask: (target: string, asked?: Asked) => Promise<Received>;
  /** Asks in path form. */
  readonly askPath: (target: string, asked?: Asked) => Promise<Received>;
  /** Asks in header form and waits for the head. */
  readonly open: (target: string, asked?: Asked) => Promise<Incoming>;
  /** Asks in header form and waits for nothing. */
  readonly start: (target: string, asked?: Asked) => ClientRequest;
  /** A target's URL in path form. */
  readonly path: (target: string) => string;
}

/** Callers by bearer or by the cookie `session`: the name itself. */
export const byName: Authorize = ({ headers, cookie }) => {
  const id = headers.get("authorization")?.replace(/^Bearer /, "") ?? cookie("session");
  return id === undefined ? null : { id };
};

export const run = "https://fal.run/demo/echo";
export const stream = "https://fal.run/demo/echo/stream";
export const submit = "https://queue.fal.run/demo/echo";
export const requestId = "019e161b-386c-7d33-8e2f-0123456789ab";
export const job = `https://queue.fal.run/demo/echo/requests/${requestId}`;

/** Starts upstream and mount; both are stopped when the test is over. Options replace the usual ones. */
export async function stage(mount: Mount, options: Partial<KeywayOptions> = {}, given?: Upstream): Promise<Stage> {
  const log = listenToConsole();
  const upstream = given ?? (await startUpstream());
  const events: ObserveEvent[] = [];
  const waiting: ((event: CallEvent) => void)[] = [];
  const mounted = await mount.startMount({
    authorize: byName,
    endpoints: "any",
    upstream: upstream.option,
    namespace: crypto.randomUUID(),
    observe(event) {
      events.push(event);
      if (event.type === "call") for (const take of waiting.splice(0)) take(event);
    },
    ...options,
    timeouts: { drain: 50, ...options.timeouts },
  });
  onTestFinished(async () => {
    await upstream.close();
    await mounted.close();
  });
  const path = (target: string): string => `${mounted.url}/${target.replace("https://", "")}`;
  return {
    upstream,
    mounted,
    log,
    events,
    ended() {
      const over = events.find((event) => event.type === "call");
      return over === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(over);
    },
    ask: (target, asked) => send(mounted.url, toSent(target, asked)),
    askPath: (target, asked) => send(path(target), toSent(undefined, asked)),
    open: (target, asked) => open(mounted.url, toSent(target, asked)),
    start: (target, asked) => start(mounted.url, toSent(target, asked)),
    path,
  };
}

/** The refusals among the decisions. */
export function refusals(events: readonly ObserveEvent[]): DecisionEvent[] {
  return events.filter((event) => event.type === "decision").filter(({ outcome }) => outcome === "refused");
}

export function codeOf({ body }: Received): unknown {
  return (JSON.parse(body.toString()) as { code?: unknown }).code;
}

/** Keeps the console quiet for the length of the test, and what would have stood there. */
export function listenToConsole(): string[] {
  const lines: string[] = [];
  const write = (...parts: unknown[]): void => {
    lines.push(parts.map((part) => (typeof part === "string" ? part : inspect(part))).join(" "));
  };
  const spies = [
    vi.spyOn(console, "error").mockImplementation(write),
    vi.spyOn(console, "warn").mockImplementation(write),
  ];
  onTestFinished(() => {
    for (const spy of spies) spy.mockRestore();
  });
  return lines;
}

function toSent(target: string | undefined, asked: Asked = {}): Sent {
  const { as = "ada", type = "application/json", method = "POST", headers = [], ...rest } = asked;
  const carries = method !== "GET" && method !== "HEAD";
  const usual: HeaderLine[] = [];
  if (target !== undefined) usual.push(["x-fal-target-url", target]);
  if (as !== null) usual.push(["authorization", `Bearer ${as}`]);
  if (carries && type !== null) usual.push(["content-type", type]);
  const bare = !carries || rest.body !== undefined || rest.chunks !== undefined || method === "PUT";
  return { method, headers: [...usual, ...headers], ...(bare ? {} : { body: "{}" }), ...rest };
}
