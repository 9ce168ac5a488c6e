import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { WebSocket } from "ws";
import { within } from "../conformance/behaviours/leaving.ts";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import type { Mount } from "../conformance/mount.ts";
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { type Stage, run, stage, stream } from "../conformance/stage.ts";
import { listenOnFreePort } from "../upstream.ts";

leaveNothingOpen();

const phases = [
  "while he is let in",
  "while upstream is dialled",
  "before the head",
  "behind the head",
  "mid-body",
  "while he does not read",
] as const;
type Phase = (typeof phases)[number];
const kinds = ["JSON", "SSE", "WebSocket"] as const;
type Kind = (typeof kinds)[number];

/** A TLS port that never says a word. `gone` resolves when who dialled has hung up. */
async function startSilence(): Promise<{ url: string; dialled: Promise<Socket> }> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const silence = createServer((socket) => resolve(socket.on("error", () => undefined).resume()));
  const port = await listenOnFreePort(silence);
  onTestFinished(() => void silence.close());
  return { url: `https://127.0.0.1:${port}`, dialled: promise };
}

interface Held extends Stage {
  /** Resolves with upstream's side of the call when its caller has come to the phase. */
  readonly there: Promise<Socket | undefined>;
  letIn(this: void): void;
}

/** A proxy on which a call gets as far as the phase, and no further. */
async function holdAt(phase: Phase, mount: Mount): Promise<Held> {
  const there = Promise.withResolvers<Socket | undefined>();
  const gate = Promise.withResolvers<{ id: string }>();
  const silence = phase === "while upstream is dialled" ? await startSilence() : undefined;
  void silence?.dialled.then(there.resolve);
  const staged = await stage(mount, {
    ...(silence === undefined ? {} : { upstream: { url: silence.url, key: "key:of-nobody" } }),
    ...(phase === "while he is let in" ? { authorize: () => (there.resolve(undefined), gate.promise) } : {}),
  });
  staged.upstream.answer(({ response, socket }) => {
    there.resolve(socket);
    if (phase === "before the head") return;
    response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    if (phase === "mid-body") response.write("data: 1\n\n");
    if (phase === "while he does not read") while (response.write(Buffer.alloc(1024 * 1024)));
  });
  staged.upstream.upgrade((request, socket) => {
    there.resolve(socket.resume().once("end", () => socket.end()) as Socket);
    if (phase === "before the head") return;
    socket.write(switching(String(request.headers["sec-websocket-key"])));
    if (phase === "mid-body") socket.write(Buffer.from([0x01, 2, 0x68, 0x69]));
    const frame = Buffer.concat([Buffer.from([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]), Buffer.alloc(65_536)]);
    if (phase === "while he does not read") while (socket.write(frame));
  });
  return { ...staged, there: there.promise, letIn: () => gate.resolve({ id: "ada" }) };
}

function switching(key: string): string {
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`;
}

/** Calls; answers how to wait until an answer's head is there, and how to leave. */
function begin(kind: Kind, held: Held): { head: Promise<unknown>; leave(this: void): void } {
  if (kind === "WebSocket") {
    const url = held.path("https://fal.run/demo/echo/realtime").replace("http:", "ws:");
    const socket = new WebSocket(url, { headers: { authorization: "Bearer ada" } });
    socket.on("error", () => undefined);
    return { head: once(socket, "open").then(() => socket.pause()), leave: () => socket.terminate() };
  }
  const request = held.start(kind === "JSON" ? run : stream);
  return { head: once(request, "response"), leave: () => void request.destroy() };
}

describe.each([node, web])("F24 the caller leaves: $name", (mount) => {
  describe.each(kinds.filter((kind) => kind !== "WebSocket" || mount.noSockets === undefined))("%s", (kind) => {
    it.each(phases)("%s: upstream is free within two seconds, and nothing stays open", async (phase) => {
      const held = await holdAt(phase, mount);
      const { head, leave } = begin(kind, held);
      head.catch(() => undefined);
      const far = await held.there;
      if (phase !== "before the head" && !phase.startsWith("while")) await head;
      if (phase === "while he does not read") await head;
      leave();
      // A handshake that is being decided ends with the decision.
      if (kind === "WebSocket") setTimeout(held.letIn, 100);
      await vi.waitFor(async () => expect(await connectionsOf(held)).toBe(0), 2000);
      held.letIn();
      // A pool that serves other calls too goes on dialling, without a request.
      if (phase === "while upstream is dialled" && kind !== "WebSocket") far?.destroy();
      expect(await within(closed(far))).toBe(true);
      if (phase === "while he is let in") expect(held.upstream.arrivals).toHaveLength(0);
      else await vi.waitFor(() => expect(calls(held)).toMatchObject([{ outcome: "left" }]), 2000);
    });
  });
});

function calls({ events }: Held): unknown[] {
  return events.filter(({ type }) => type === "call");
}

function closed(socket: Socket | undefined): Promise<void> {
  if (socket === undefined || socket.closed) return Promise.resolve();
  return new Promise((resolve) => void socket.once("close", () => resolve()));
}

function connectionsOf({ mounted: { server } }: Held): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}
