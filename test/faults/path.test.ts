import { once } from "node:events";
import { createHash } from "node:crypto";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import type { Mount } from "../conformance/mount.ts";
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { type Stage, run, stage, stream } from "../conformance/stage.ts";
import { type Shim, type Toxics, startShim } from "../shim.ts";
import { respond, startUpstream, upstreamKey } from "../upstream.ts";

leaveNothingOpen();

const answer = Buffer.from(JSON.stringify({ text: "é€😀".repeat(700) }));
const events = Array.from({ length: 20 }, (_, at) => `data: ${at}\n\n`).join("");

/** What a bad path does, and whether calls survive it. */
const paths: readonly (readonly [name: string, toxics: Toxics, survives: boolean])[] = [
  ["200 ms late", { latency: 200 }, true],
  ["16 KB a second", { rate: 16_384 }, true],
  ["byte by byte", { slice: 1 }, true],
  ["closed after 700 bytes", { limit: { bytes: 700, how: "end" } }, false],
  ["reset after 700 bytes", { limit: { bytes: 700, how: "reset" } }, false],
  ["closed at once", { limit: { bytes: 0, how: "end" } }, false],
  ["reset at once", { limit: { bytes: 0, how: "reset" } }, false],
  ["silent", { silent: true }, false],
];

/** A proxy that reaches its upstream over a bad path. */
async function badly(mount: Mount, toxics: Toxics): Promise<Stage & { shim: Shim }> {
  const upstream = await startUpstream();
  const shim = await startShim(upstream.port);
  shim.answers = toxics;
  onTestFinished(() => shim.close());
  const times = { head: 1000, runHead: 1000, idle: 1000, streamIdle: 1000, handshake: 1000 };
  const option = { url: `http://127.0.0.1:${shim.port}`, key: upstreamKey };
  const staged = await stage(mount, { upstream: option, timeouts: times }, upstream);
  upstream.answer(({ url, response, whole }) => {
    whole.then(
      () => {
        if (url.endsWith("/stream"))
          response
            .writeHead(200, { "content-type": "text/event-stream" })
            .end(`${events}${"data: more\n\n".repeat(80)}`);
        else respond(response, 200, { "content-type": "application/json" }, answer);
      },
      () => undefined,
    );
  });
  upstream.upgrade((request, socket, head) => {
    new WebSocketServer({ noServer: true }).handleUpgrade(request, socket, head, (far) => {
      far.on("error", () => undefined).on("message", (data) => far.send(data));
    });
  });
  return { ...staged, shim };
}

describe.each([node, web])("F33 over a bad path to upstream: $name", (mount) => {
  it.each(paths)("%s: JSON and events are right, or visibly broken", async (_name, toxics, survives) => {
    const { ask, shim, upstream } = await badly(mount, toxics);
    const answers = await Promise.all([ask(run), ask(stream)].map((asked) => asked.catch(() => undefined)));
    for (const one of answers) {
      if (survives) expect([one?.status, one?.broken]).toEqual([200, false]);
      else expect(one === undefined || one.broken || one.status === 500).toBe(true);
    }
    if (survives)
      expect([answers[0]?.body.equals(answer), answers[1]?.body.toString().startsWith(events)]).toEqual([true, true]);
    expect(upstream.arrivals).toHaveLength(2);
    shim.answers = {};
    expect((await ask(run)).body.equals(answer)).toBe(true);
  });

  it.each(paths.filter(([, , survives]) => survives))(
    "%s on the way there: what is sent arrives",
    async (_name, toxics) => {
      const { ask, shim, upstream } = await badly(mount, {});
      shim.requests = toxics;
      const body = Buffer.alloc(6000, "0123456789");
      expect((await ask(run, { body })).status).toBe(200);
      const arrived = await upstream.arrivals[0]?.whole;
      expect(
        createHash("sha256")
          .update(arrived ?? "")
          .digest("hex"),
      ).toBe(createHash("sha256").update(body).digest("hex"));
    },
  );
});

describe("F33 sockets over a bad path to upstream", () => {
  it.each(paths)("%s: messages come back in order, or the socket ends", async (_name, toxics, survives) => {
    const { path } = await badly(node, toxics);
    const socket = new WebSocket(path("https://fal.run/demo/echo/realtime").replace("http:", "ws:"), {
      headers: { authorization: "Bearer ada" },
    });
    onTestFinished(() => socket.terminate());
    const closed = new Promise<string>((resolve) => {
      socket.on("error", (error) => resolve(error.message)).on("close", (code) => resolve(String(code)));
    });
    const back: string[] = [];
    socket.on("message", (data: Buffer) => void back.push(data.toString()));
    const said = Array.from({ length: 30 }, (_, at) => `${at} ${"x".repeat(50)}`);
    socket.once("open", () => {
      for (const message of said) socket.send(message);
    });
    if (survives) {
      while (back.length < said.length) await once(socket, "message");
      expect(back).toEqual(said);
      socket.close(1000);
      expect(await closed).toBe("1000");
    } else {
      expect(await closed).toMatch(/^(?:1006|1011|Unexpected server response: 50[24])$/);
      expect(said.slice(0, back.length)).toEqual(back);
    }
  });
});
