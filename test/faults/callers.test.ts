import { createServer } from "node:http";
import { type Socket, connect } from "node:net";
import { createNodeProxy } from "@keyway/node";
import { describe, expect, it, onTestFinished } from "vitest";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { listen } from "../conformance/mount.ts";
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { byName, run, stage } from "../conformance/stage.ts";
import { startUpstream } from "../upstream.ts";

leaveNothingOpen();

/** A raw connection to a mount, what came back first, and all of it when it was closed. */
function dial(url: string): { socket: Socket; answered: Promise<string>; closed: Promise<string> } {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  let text = "";
  socket.on("data", (bytes) => (text += String(bytes))).on("error", () => undefined);
  onTestFinished(() => void socket.destroy());
  const answered = new Promise<string>((resolve) => socket.once("data", (bytes) => resolve(String(bytes))));
  return { socket, answered, closed: new Promise((resolve) => socket.once("close", () => resolve(text))) };
}

function headOf(url: string, length: number): string {
  const lines = ["authorization: Bearer ada", `x-fal-target-url: ${run}`, "content-type: application/json"];
  const { pathname, host } = new URL(url);
  return `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\n${lines.join("\r\n")}\r\ncontent-length: ${length}\r\n\r\n`;
}

/** Sends a byte every 20 ms until the other side has had enough. */
function drip(socket: Socket, bytes: string): void {
  let at = 0;
  const timer = setInterval(() => {
    if (socket.writable && at < bytes.length) socket.write(bytes.charAt((at += 1) - 1));
    else clearInterval(timer);
  }, 20);
}

/** How long a caller's head and request may take is Node's own to say: the host app's server counts. */
async function hurriedServer(times: { headersTimeout: number; requestTimeout: number }) {
  const upstream = await startUpstream();
  const proxy = createNodeProxy({ authorize: byName, endpoints: "any", upstream: upstream.option });
  const server = createServer({ ...times, connectionsCheckingInterval: 50 }, (request, response) => {
    void proxy.handle(request, response);
  });
  const mounted = await listen(server, proxy);
  onTestFinished(async () => {
    await mounted.close();
    await upstream.close();
  });
  return { upstream, mounted };
}

describe("slow callers", () => {
  it("F11 a head byte by byte: 408 when the server's time for heads is over, and upstream is not touched", async () => {
    const { upstream, mounted } = await hurriedServer({ headersTimeout: 300, requestTimeout: 10_000 });
    const { socket, closed } = dial(mounted.url);
    drip(socket, headOf(mounted.url, 2));
    expect(await closed).toMatch(/^HTTP\/1\.1 408 /);
    expect(upstream.connections).toBe(0);
  });

  it.each([
    ["small", 200],
    ["large", 2_000_000],
  ])(
    "F12 a %s body byte by byte: over when the server's time is, and upstream never has it whole",
    async (_size, length) => {
      const { upstream, mounted } = await hurriedServer({ headersTimeout: 300, requestTimeout: 600 });
      const { socket, closed } = dial(mounted.url);
      socket.write(headOf(mounted.url, length));
      drip(socket, "a".repeat(length));
      expect(await closed).not.toMatch(/^HTTP\/1\.1 200 /);
      for (const { whole } of upstream.arrivals) await expect(whole).rejects.toThrow();
    },
  );
});

describe.each([node, web])("callers who are slow: $name", (mount) => {
  it("F12 a body that stops: refused when its time is over, and upstream never has it whole", async () => {
    const { upstream, mounted } = await stage(mount, { timeouts: { callerBody: 200 } });
    const { socket, answered } = dial(mounted.url);
    socket.write(`${headOf(mounted.url, 200)}{`);
    expect(await answered).toMatch(/^HTTP\/1\.1 400 /);
    for (const { whole } of upstream.arrivals) await expect(whole).rejects.toThrow();
  });

  it("F13 a slow reader paces upstream, and is dropped when he takes too little for too long", async () => {
    const megabyte = 1024 * 1024;
    const { upstream, mounted, ended } = await stage(mount, { timeouts: { streamIdle: 1000 } });
    let poured = 0;
    upstream.answer(({ response, closed }) => {
      response.writeHead(200, { "content-type": "image/png" });
      const pour = (): void => {
        do poured += 65_536;
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", pour);
      void closed.then(() => response.destroy());
      pour();
    });
    const { socket } = dial(mounted.url);
    socket.write(`${headOf(mounted.url, 2)}{}`);
    const reading = setInterval(() => {
      socket.once("data", () => socket.pause()).resume();
    }, 100);
    onTestFinished(() => clearInterval(reading));
    const arrival = await upstream.next();
    await arrival.closed;
    expect(poured).toBeGreaterThan(0);
    expect(poured).toBeLessThan(64 * megabyte);
    expect((await ended()).outcome).toBe("cut");
  });
});
