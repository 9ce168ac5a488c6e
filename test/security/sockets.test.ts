import { once } from "node:events";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import type { Mounted } from "../conformance/mount.ts";
import { node } from "../conformance/mounts/node.ts";
import { type Upstream, startUpstream } from "../upstream.ts";
import { hold, runs, seed } from "./property.ts";

leaveNothingOpen();

type Side = "caller" | "upstream";
type Act = "text" | "bytes" | "large" | "ping" | "pause" | "resume" | "close" | "reset" | "turn";
interface Step {
  readonly side: Side;
  readonly act: Act;
}

const scripts = fc.array(
  fc.record({
    side: fc.constantFrom<Side>("caller", "upstream"),
    act: fc.oneof(
      { weight: 6, arbitrary: fc.constantFrom<Act>("text", "bytes", "large", "ping", "turn") },
      { weight: 2, arbitrary: fc.constantFrom<Act>("pause", "resume") },
      { weight: 1, arbitrary: fc.constantFrom<Act>("close", "reset") },
    ),
  }),
  { maxLength: 20 },
);

const deaths: unknown[] = [];
const bury = (death: unknown): void => void deaths.push(death);
const sockets = new WebSocketServer({ noServer: true });
let upstream: Upstream;
let mounted: Mounted;
let accepted: (socket: WebSocket) => void = () => undefined;

beforeAll(async () => {
  process.on("uncaughtException", bury).on("unhandledRejection", bury);
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  upstream = await startUpstream();
  upstream.upgrade((request, socket, head) => sockets.handleUpgrade(request, socket, head, accepted));
  mounted = await node.startMount({
    authorize: "public",
    endpoints: "any",
    upstream: upstream.option,
    publicUrl: "http://localhost/api/fal/proxy",
    limits: { caller: { requests: { max: 1e9, per: "day" } } },
  });
});

afterAll(async () => {
  await mounted.close();
  await upstream.close();
  vi.restoreAllMocks();
  process.off("uncaughtException", bury).off("unhandledRejection", bury);
  process.stdout.write(`property 6: ${runs} runs, seed ${seed}\n`);
});

/** One end of a conversation: what it said, what it heard, and when it is gone. */
interface End {
  readonly socket: WebSocket;
  readonly said: string[];
  readonly heard: string[];
  readonly closed: Promise<unknown>;
}

function toEnd(socket: WebSocket): End {
  const heard: string[] = [];
  socket.on("error", () => undefined);
  socket.on("message", (data: Buffer, isBinary) => void heard.push(`${isBinary ? "b" : "t"}${data.toString()}`));
  return { socket, said: [], heard, closed: once(socket, "close") };
}

function act({ socket, said }: End, what: Act): void {
  const say = (text: string, binary: boolean): void => {
    if (socket.readyState !== WebSocket.OPEN) return;
    socket.send(text, { binary });
    said.push(`${binary ? "b" : "t"}${text}`);
  };
  if (what === "text") say(`message ${said.length}`, false);
  else if (what === "bytes") say(`bytes ${said.length}`, true);
  else if (what === "large") say(`${said.length} ${"x".repeat(70_000)}`, true);
  else if (what === "ping" && socket.readyState === WebSocket.OPEN) socket.ping();
  else if (what === "pause") socket.pause();
  else if (what === "resume") socket.resume();
  else if (what === "close") socket.close(1000);
  else if (what === "reset") socket.terminate();
}

it(
  "(6) however both ends of a socket talk, stall, close and break: order is kept, both end, and nothing dies",
  { timeout: 120_000 },
  async () => {
    const url = `${mounted.url.replace("http:", "ws:")}/fal.run/demo/echo/realtime`;
    let whole = 0;
    await hold(scripts, async (script) => {
      const far = new Promise<End>((resolve) => {
        accepted = (socket) => resolve(toEnd(socket));
      });
      const caller = toEnd(new WebSocket(url));
      await once(caller.socket, "open");
      const ends = { caller, upstream: await far };
      for (const step of script as readonly Step[]) {
        if (step.act === "turn") await new Promise(setImmediate);
        else act(ends[step.side], step.act);
      }
      const isQuiet = script.every(({ act: what }) => what !== "close" && what !== "reset");
      for (const { socket } of Object.values(ends)) socket.resume();
      ends.caller.socket.close(1000);
      await Promise.all([ends.caller.closed, ends.upstream.closed]);
      for (const [from, to] of [
        [ends.caller, ends.upstream],
        [ends.upstream, ends.caller],
      ] as const) {
        expect(to.heard).toEqual(from.said.slice(0, to.heard.length));
        // The caller says goodbye last: what he said before was heard.
        if (isQuiet && to === ends.upstream) expect(to.heard.length).toBe(from.said.length);
      }
      if (isQuiet) whole += 1;
    });
    expect(whole).toBeGreaterThan(runs / 20);
    expect(deaths).toEqual([]);
  },
);
