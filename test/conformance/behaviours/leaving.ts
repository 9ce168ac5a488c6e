import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { createServer, type Socket } from "node:net";
import { createKeyway, createMemoryStore } from "@keyway/core";
import { describe, expect, it, onTestFinished } from "vitest";
import { type Upstream, always, listenOnFreePort, startUpstream } from "../../upstream.ts";
import type { Mount, Mounted } from "../mount.ts";
import { byName, job, run, stage, stream, submit } from "../stage.ts";

const soon = 2000;

/** Resolves to true when the promise does within two seconds. */
export async function within(promise: Promise<unknown> | undefined): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, soon, false);
  });
  try {
    return await Promise.race([Promise.resolve(promise).then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A TLS port on which nobody says a word: connecting to it never ends. */
async function startSilence(): Promise<{ url: string; connected: Promise<Socket> }> {
  const { promise, resolve } = Promise.withResolvers<Socket>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on("error", () => undefined));
    resolve(socket);
  });
  const port = await listenOnFreePort(server);
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `https://127.0.0.1:${port}`, connected: promise };
}

/** The server's own view of its next caller: when he is there, and when he is gone. */
function callerGone({ server }: Mounted): { readonly arrived: Promise<unknown>; readonly left: Promise<unknown> } {
  const arrived = new Promise<ServerResponse>((resolve) => {
    server.prependOnceListener("request", (_request, response: ServerResponse) => resolve(response));
  });
  return { arrived, left: arrived.then((response) => once(response, "close")) };
}

function headOf(upstream: Upstream): void {
  upstream.answer(({ response }) => response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders());
}

/** When the caller goes, paid work nobody reads must not go on; what has an effect to be known must. */
export function leaving(mount: Mount): void {
  describe("the caller leaves", () => {
    it.each([
      ["run", run, "POST"],
      ["stream", stream, "POST"],
      ["status", `${job}/status`, "GET"],
      ["result", job, "GET"],
    ])("before the answer's head: the upstream connection of %s is closed", async (_kind, target, method) => {
      const { upstream, start, ended } = await stage(mount, { ownership: "app" });
      upstream.answer(() => undefined);
      const request = start(target, { method });
      const arrival = await upstream.next();
      request.destroy();
      expect(await within(arrival.closed)).toBe(true);
      expect((await ended()).outcome).toBe("left");
    });

    it.each([
      ["run", run, "POST"],
      ["stream", stream, "POST"],
      ["status-stream", `${job}/status/stream`, "GET"],
    ])("after the head, before any byte: %s", async (_kind, target, method) => {
      const { upstream, open, ended } = await stage(mount, { ownership: "app" });
      headOf(upstream);
      const incoming = await open(target, { method });
      incoming.leave();
      expect(await within(upstream.arrivals[0]?.closed)).toBe(true);
      expect((await ended()).outcome).toBe("left");
    });

    it.each([
      ["run", run, "POST"],
      ["stream", stream, "POST"],
      ["status-stream", `${job}/status/stream`, "GET"],
    ])("mid-body: %s", async (_kind, target, method) => {
      const { upstream, open, ended } = await stage(mount, { ownership: "app" });
      upstream.answer(({ response }) =>
        response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n"),
      );
      const incoming = await open(target, { method });
      await incoming.read();
      incoming.leave();
      expect(await within(upstream.arrivals[0]?.closed)).toBe(true);
      expect((await ended()).outcome).toBe("left");
    });

    it("mid-body, while he is not reading", async () => {
      const { upstream, open } = await stage(mount);
      upstream.answer(({ response }) => {
        response.writeHead(200, { "content-type": "image/png" });
        while (response.write(Buffer.alloc(1024 * 1024)));
      });
      const incoming = await open(run);
      incoming.leave();
      expect(await within(upstream.arrivals[0]?.closed)).toBe(true);
    });

    it.each([
      ["run", run],
      ["submit", submit],
    ])("mid-upload: %s is broken off and never looks complete", async (_kind, target) => {
      const { upstream, start } = await stage(mount);
      const request = start(target, { headers: [["content-length", "2000000"]], body: Buffer.alloc(200_000, "a") });
      const arrival = await upstream.next();
      request.destroy();
      await expect(arrival.whole).rejects.toThrow();
      expect(await within(arrival.closed)).toBe(true);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it("mid-upload of a small body: upstream is not asked at all", async () => {
      const { upstream, mounted, start } = await stage(mount);
      const gone = callerGone(mounted);
      const request = start(run, { headers: [["content-length", "200"]], body: "a" });
      await gone.arrived;
      request.destroy();
      expect(await within(gone.left)).toBe(true);
      const complete = upstream.arrivals.map(({ whole }) =>
        whole.then(
          () => true,
          () => false,
        ),
      );
      expect(await Promise.all(complete)).not.toContain(true);
    });

    it("while connecting: the call is over at once, and no request goes out", async () => {
      const silence = await startSilence();
      const { start, ended } = await stage(mount, { upstream: { url: silence.url, key: "k:s" } });
      const request = start(run);
      const socket = await silence.connected;
      request.destroy();
      const over = ended();
      expect(await within(over)).toBe(true);
      expect((await over).outcome).toBe("left");
      socket.destroy();
    });

    it.each([
      ["submit", submit, "POST"],
      ["cancel", `${job}/cancel`, "PUT"],
    ])("%s goes on until fal has answered", async (_kind, target, method) => {
      const { upstream, mounted, start, ended } = await stage(mount, { ownership: "app" });
      upstream.answer(() => undefined);
      const gone = callerGone(mounted);
      const request = start(target, { method });
      const arrival = await upstream.next();
      request.destroy();
      await gone.left;
      // one turn through the proxy and back, in which it would break off
      await startUpstream().then((other) => other.close());
      expect(arrival.socket.destroyed).toBe(false);
      always(200, { "content-type": "application/json" }, '{"request_id":"r-1"}')(arrival);
      expect(await ended()).toMatchObject({ upstreamStatus: 200 });
    });

    it("a submit is bound to its money though its caller is gone", async () => {
      const options = {
        endpoints: { "demo/echo": { price: { perCall: 0.4 } } },
        limits: { caller: { budget: { usd: 1, per: "day" } } },
        store: createMemoryStore(),
        namespace: "counted",
      } as const;
      const { upstream, mounted, start, ended } = await stage(mount, options);
      const counting = createKeyway({ authorize: byName, upstream: upstream.option, ...options });
      upstream.answer(() => undefined);
      const gone = callerGone(mounted);
      const request = start(submit);
      const arrival = await upstream.next();
      request.destroy();
      await gone.left;
      always(200, { "content-type": "application/json" }, '{"request_id":"r-1"}')(arrival);
      expect(await ended()).toMatchObject({ outcome: "complete", upstreamStatus: 200 });
      expect(await counting.usage("ada")).toMatchObject({ spent: 0, reserved: 0.4, left: 0.6 });
    });

    it.each([
      ["submit", submit, "POST"],
      ["cancel", `${job}/cancel`, "PUT"],
    ])("%s does not go on for ever", async (_kind, target, method) => {
      const { upstream, start } = await stage(mount, { ownership: "app", timeouts: { finish: 60 } });
      upstream.answer(() => undefined);
      const request = start(target, { method });
      const arrival = await upstream.next();
      request.destroy();
      expect(await within(arrival.closed)).toBe(true);
    });

    it.each([
      ["a refused submit", submit, "POST", 422],
      ["a cancel", `${job}/cancel`, "PUT", 200],
    ])("%s whose answer once waited for its reader does not go on for ever", async (_kind, target, method, status) => {
      const { upstream, open } = await stage(mount, { ownership: "app", timeouts: { finish: 60 } });
      upstream.answer(({ response }) =>
        response.writeHead(status, { "content-type": "application/json" }).write(Buffer.alloc(1024 * 1024, " ")),
      );
      const incoming = await open(target, { method });
      await incoming.readUntil(1024 * 1024);
      incoming.leave();
      expect(await within(upstream.arrivals[0]?.closed)).toBe(true);
    });
  });
}
