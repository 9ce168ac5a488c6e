import { once } from "node:events";
import { request } from "node:http";
import type { KeywayOptions } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { type ClientOptions, WebSocket, WebSocketServer } from "ws";
import { startUpstream, upstreamKey } from "../../upstream.ts";
import { type HeaderLine, type Received, answerTo, toIncoming, toLines, valueIn } from "../../wire.ts";
import { digest, noise } from "../bytes.ts";
import type { Mount } from "../mount.ts";
import { type Stage, codeOf, stage } from "../stage.ts";
import { within } from "./leaving.ts";

const realtime = "https://fal.run/demo/echo/realtime";

/** A mount whose upstream speaks WebSocket; `accepted` is the upstream's end of the next connection. */
async function socketStage(mount: Mount, options: Parameters<typeof stage>[1] = {}) {
  const upstream = await startUpstream();
  const handshakes: HeaderLine[][] = [];
  const targets: string[] = [];
  const waiting = Promise.withResolvers<WebSocket>();
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: true });
  upstream.upgrade((incoming, socket, head) => {
    handshakes.push(toLines(incoming.rawHeaders));
    targets.push(incoming.url ?? "");
    server.handleUpgrade(incoming, socket, head, (accepted) => {
      accepted.on("error", () => undefined);
      waiting.resolve(accepted);
    });
  });
  const staged = await stage(mount, options, upstream);
  return { ...staged, handshakes, targets, accepted: waiting.promise };
}

/** Connects as `ada` and waits until the socket is open. */
async function connect(
  { path }: Stage,
  target = realtime,
  options: ClientOptions = {},
  protocols: string[] = [],
): Promise<WebSocket> {
  const url = path(target).replace("http:", "ws:");
  const socket = new WebSocket(url, protocols, {
    ...options,
    headers: { authorization: "Bearer ada", ...options.headers },
  });
  await once(socket, "open");
  return socket;
}

interface Closed {
  readonly code: number;
  readonly reason: string;
}

async function closed(socket: WebSocket): Promise<Closed> {
  const [code, reason] = (await once(socket, "close")) as [number, Buffer];
  return { code, reason: reason.toString() };
}

async function nextMessage(socket: WebSocket): Promise<{ data: Buffer; binary: boolean }> {
  const [data, binary] = (await once(socket, "message")) as [Buffer, boolean];
  return { data, binary };
}

const handshake: readonly HeaderLine[] = [
  ["connection", "Upgrade"],
  ["upgrade", "websocket"],
  ["sec-websocket-version", "13"],
  ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
];

/** Sends a handshake that is to be refused, and reads the HTTP answer. */
async function refused(url: string, headers: readonly HeaderLine[] = [], method = "GET"): Promise<Received> {
  const own = headers.map(([name]) => name);
  const lines = [["authorization", "Bearer ada"], ...handshake].filter(([name]) => !own.includes(name ?? ""));
  const all = [...lines, ...headers].filter(([, value]) => value !== "");
  const sent = request(url, { method, agent: false, headers: Object.fromEntries(all) });
  sent.on("error", () => undefined).end();
  return toIncoming(sent, await answerTo(sent)).rest();
}

/** WebSockets: the tunnel, and the decisions before it. */
export function sockets(mount: Mount): void {
  if (mount.noSockets !== undefined) {
    it(`no WebSockets here, as ${mount.noSockets}: a handshake is a plain GET`, async () => {
      const { upstream, path } = await stage(mount);
      expect((await refused(path(realtime))).status).toBe(405);
      expect(upstream.connections).toBe(0);
    });
    return;
  }

  describe("a WebSocket", () => {
    it("carries text and 300 KB of bytes both ways, in order", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged);
      const far = await staged.accepted;
      const bytes = noise(300_000);
      for (const [from, to] of [
        [socket, far],
        [far, socket],
      ] as const) {
        const text = nextMessage(to);
        from.send('{"prompt":"é"}');
        expect(await text).toEqual({ data: Buffer.from('{"prompt":"é"}'), binary: false });
        const binary = nextMessage(to);
        from.send(bytes);
        const got = await binary;
        expect([digest(got.data), got.binary]).toEqual([digest(bytes), true]);
        const numbers: number[] = [];
        const all = new Promise<void>((resolve) => {
          to.on("message", (data: Buffer) => void (numbers.push(Number(data.toString())) === 500 && resolve()));
        });
        for (let number = 0; number < 500; number += 1) from.send(String(number));
        await all;
        expect(numbers).toEqual(Array.from({ length: 500 }, (_, index) => index));
      }
      socket.terminate();
    });

    it("what upstream says at once is not lost", async () => {
      const staged = await socketStage(mount);
      staged.upstream.upgrade((incoming, socket, head) => {
        new WebSocketServer({ noServer: true }).handleUpgrade(incoming, socket, head, (accepted) =>
          accepted.send("hello"),
        );
      });
      const socket = new WebSocket(staged.path(realtime).replace("http:", "ws:"), {
        headers: { authorization: "Bearer ada" },
      });
      expect((await nextMessage(socket)).data.toString()).toBe("hello");
      socket.terminate();
    });

    it("pings and pongs pass", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged);
      const far = await staged.accepted;
      const ping = once(far, "ping");
      const pong = once(socket, "pong");
      socket.ping("mark");
      expect([String((await ping)[0]), String((await pong)[0])]).toEqual(["mark", "mark"]);
      socket.terminate();
    });

    it("the subprotocol is the one upstream chose of those offered", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged, realtime, {}, ["fal.v2", "fal.v1"]);
      expect(socket.protocol).toBe("fal.v2");
      expect(valueIn(staged.handshakes[0] ?? [], "sec-websocket-protocol")).toBe("fal.v2,fal.v1");
      socket.terminate();
    });

    it("the key stands in upstream's handshake and nowhere else; the caller's credentials stay here", async () => {
      const staged = await socketStage(mount);
      const origin = new URL(staged.mounted.url).origin;
      const headers = { cookie: "session=ada; x=1", "x-forwarded-for": "6.6.6.6", "user-agent": "page/1" };
      const url = `${realtime}?fal_jwt_token=caller-token&max_buffering=2`;
      const answer = Promise.withResolvers<HeaderLine[]>();
      const socket = new WebSocket(staged.path(url).replace("http:", "ws:"), {
        headers: { ...headers, authorization: "Bearer ada", origin },
      });
      socket.on("upgrade", (response) => answer.resolve(toLines(response.rawHeaders)));
      await once(socket, "open");
      const [sent = []] = staged.handshakes;
      expect(valueIn(sent, "authorization")).toBe(`Key ${upstreamKey}`);
      expect(valueIn(sent, "user-agent")).toBe("page/1");
      expect(staged.targets).toEqual(["/fal.run/demo/echo/realtime?max_buffering=2"]);
      const allowed = [
        "host",
        "connection",
        "upgrade",
        "authorization",
        "user-agent",
        "sec-websocket-key",
        "sec-websocket-version",
      ];
      expect(sent.map(([name]) => name.toLowerCase()).filter((name) => !allowed.includes(name))).toEqual([]);
      expect(JSON.stringify(await answer.promise)).not.toContain(upstreamKey);
      socket.terminate();
    });

    it("a close code passes both ways, with its reason", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged);
      const far = await staged.accepted;
      const arrived = closed(far);
      const answered = closed(socket);
      socket.close(4001, "enough");
      expect(await arrived).toEqual({ code: 4001, reason: "enough" });
      expect(await answered).toEqual({ code: 4001, reason: "enough" });
      expect(await staged.ended()).toMatchObject({ kind: "realtime", outcome: "complete", status: 101 });
    });

    it("and from upstream", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged);
      const far = await staged.accepted;
      const arrived = closed(socket);
      const answered = closed(far);
      far.close(4001, "quota");
      expect(await arrived).toEqual({ code: 4001, reason: "quota" });
      expect(await answered).toEqual({ code: 4001, reason: "quota" });
    });

    it("a caller who vanishes is gone upstream within two seconds", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged);
      const far = closed(await staged.accepted);
      socket.terminate();
      expect(await within(far)).toBe(true);
      expect(await staged.ended()).toMatchObject({ outcome: "left" });
    });

    it("an upstream that vanishes is no clean end", async () => {
      const staged = await socketStage(mount);
      const socket = await connect(staged);
      const gone = closed(socket);
      (await staged.accepted).terminate();
      expect([1006, 1011]).toContain((await gone).code);
    });

    it("a caller whose session ends is closed with 1008", async () => {
      let asked = 0;
      const authorize = () => (asked++ === 0 ? { id: "ada" } : null);
      const staged = await socketStage(mount, { authorize, reauthorize: 20 });
      const socket = await connect(staged);
      const [far, near] = await Promise.all([closed(await staged.accepted), closed(socket)]);
      expect([far.code, near.code]).toEqual([1008, 1008]);
      expect((await staged.ended()).outcome).toBe("stopped");
    });

    it("draining closes with 1001", async () => {
      const staged = await socketStage(mount, { timeouts: { drain: 5000 } });
      const socket = await connect(staged);
      const far = closed(await staged.accepted);
      const near = closed(socket);
      await staged.mounted.close();
      expect([(await far).code, (await near).code]).toEqual([1001, 1001]);
    });

    it("a page of a listed origin connects", async () => {
      const staged = await socketStage(mount, { origins: ["https://page.example"] });
      const socket = await connect(staged, realtime, {
        headers: { origin: "https://page.example", cookie: "session=ada" },
      });
      expect(socket.readyState).toBe(WebSocket.OPEN);
      socket.terminate();
    });
  });

  describe("a handshake is refused over HTTP", () => {
    it.each<[string, HeaderLine[], number, string]>([
      ["nobody", [["authorization", ""]], 401, "unauthorized"],
      ["a foreign origin", [["origin", "https://evil.example"]], 403, "forbidden_origin"],
      [
        "a foreign origin with a cookie",
        [
          ["origin", "https://evil.example"],
          ["cookie", "session=ada"],
        ],
        403,
        "forbidden_origin",
      ],
      ["origin null", [["origin", "null"]], 403, "forbidden_origin"],
      ["a cookie alone", [["cookie", "session=ada"]], 403, "forbidden_origin"],
      ["another version", [["sec-websocket-version", "12"]], 426, "websocket_version"],
      ["no key", [["sec-websocket-key", ""]], 400, "not_websocket"],
      ["a short key", [["sec-websocket-key", "abc"]], 400, "not_websocket"],
      ["another protocol", [["upgrade", "h2c"]], 400, "not_websocket"],
      ["a protocol twice", [["sec-websocket-protocol", "a, a"]], 400, "not_websocket"],
    ])("%s", async (_name, headers, status, code) => {
      const staged = await socketStage(mount);
      const answer = await refused(staged.path(realtime), headers);
      expect([answer.status, codeOf(answer)]).toEqual([status, code]);
      expect(staged.upstream.connections).toBe(0);
    });

    it.each<[string, Partial<KeywayOptions>, number, string]>([
      ["an endpoint that is not listed", { endpoints: ["demo/other"] }, 403, "endpoint_refused"],
      [
        "an endpoint whose input is checked",
        { endpoints: { "demo/echo": { input: () => true } } },
        403,
        "realtime_refused",
      ],
      ["an endpoint without real-time", { endpoints: { "demo/echo": { realtime: false } } }, 403, "realtime_refused"],
      [
        "an authorize that throws",
        {
          authorize: () => {
            throw new Error("down");
          },
        },
        500,
        "authorize_failed",
      ],
      ["a denied caller", { authorize: () => ({ deny: true, message: "no" }) }, 403, "denied"],
    ])("%s", async (_name, options, status, code) => {
      const staged = await socketStage(mount, options);
      const answer = await refused(staged.path(realtime));
      expect([answer.status, codeOf(answer)]).toEqual([status, code]);
      expect(staged.upstream.connections).toBe(0);
    });

    it.each([
      [
        "a path of nobody",
        (url: string) => url.replace("/api/fal/proxy", "/chat").replace("/fal.run", ""),
        404,
        "route_not_found",
      ],
      [
        "a job",
        (url: string) => url.replace("/fal.run/demo/echo/realtime", "/queue.fal.run/demo/echo"),
        400,
        "unknown_call",
      ],
      ["a host not spoken here", (url: string) => url.replace("fal.run", "ws.fal.run"), 400, "unsupported_call"],
      ["a token in an unknown name", (url: string) => `${url}?fal_user=1`, 400, "query_refused"],
    ])("%s", async (_name, change, status, code) => {
      const staged = await socketStage(mount);
      const answer = await refused(change(staged.path(realtime)));
      expect([answer.status, codeOf(answer)]).toEqual([status, code]);
      expect(staged.upstream.connections).toBe(0);
    });

    it("a POST", async () => {
      const staged = await socketStage(mount);
      expect((await refused(staged.path(realtime), [], "POST")).status).toBe(405);
      expect(staged.upstream.connections).toBe(0);
    });

    it.each([
      [400, 400],
      [404, 404],
      [429, 429],
      [503, 503],
      [401, 502],
      [403, 502],
      [302, 502],
      [200, 502],
    ])("upstream's %i is %i", async (status, seen) => {
      const staged = await socketStage(mount);
      staged.upstream.upgrade((_incoming, socket) => {
        socket.end(
          `HTTP/1.1 ${status} No\r\nlocation: https://evil.example\r\nset-cookie: a=1\r\ncontent-length: 4\r\n\r\nbody`,
        );
      });
      const answer = await refused(staged.path(realtime));
      expect(answer.status).toBe(seen);
      expect(answer.headers.some(([name]) => ["location", "set-cookie"].includes(name.toLowerCase()))).toBe(false);
      expect(answer.body.toString()).not.toContain("body");
    });

    it("an upstream that answers with another's accept value is not believed", async () => {
      const staged = await socketStage(mount);
      staged.upstream.upgrade((_incoming, socket) => {
        socket.write(
          "HTTP/1.1 101 Switching\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: AAAA\r\n\r\n",
        );
      });
      expect((await refused(staged.path(realtime))).status).toBe(502);
    });

    it("an upstream that is not there, or closes", async () => {
      const staged = await socketStage(mount);
      staged.upstream.upgrade((_incoming, socket) => socket.destroy());
      expect((await refused(staged.path(realtime))).status).toBe(502);
      await staged.upstream.close();
      expect((await refused(staged.path(realtime))).status).toBe(502);
    });

    it("an upstream that says nothing", async () => {
      const staged = await socketStage(mount, { timeouts: { handshake: 50, connect: 50 } });
      staged.upstream.upgrade(() => undefined);
      expect((await refused(staged.path(realtime))).status).toBe(504);
    });

    it("other listeners' upgrades are left to them", async () => {
      const staged = await socketStage(mount);
      staged.mounted.server.on("upgrade", (incoming, socket) => {
        if (incoming.url === "/chat") socket.end("HTTP/1.1 418 Mine\r\ncontent-length: 0\r\n\r\n");
      });
      const chat = await refused(new URL("/chat", staged.mounted.url).href);
      expect(chat.status).toBe(418);
    });
  });
}
