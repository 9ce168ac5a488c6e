import { once } from "node:events";
import { decode, encode } from "@msgpack/msgpack";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { createEmulator, type Emulator, type EmulatorOptions, type SessionFault } from "./index.ts";

let emulator: Emulator;
let url: string;

beforeEach(() => start({ timeScale: 0 }));
afterEach(() => emulator.close());

async function start(options: EmulatorOptions): Promise<void> {
  emulator = createEmulator(options);
  ({ url } = await emulator.listen());
}

async function restart(options: EmulatorOptions): Promise<void> {
  await emulator.close();
  await start(options);
}

function dial(path: string, headers: Record<string, string> = { authorization: "Key a" }): WebSocket {
  return new WebSocket(`${url.replace("http", "ws")}/fal.run/${path}`, { headers });
}

async function issue(app: string): Promise<string> {
  const answer = await fetch(`${url}/rest.fal.ai/tokens/realtime`, {
    method: "POST",
    headers: { authorization: "Key a" },
    body: JSON.stringify({ allowed_apps: [app], duration: 120 }),
  });
  return ((await answer.json()) as { token: string }).token;
}

/** Everything a socket says until it closes, or the refusal of its handshake. */
function listen(
  socket: WebSocket,
): Promise<{ frames: { data: Buffer; binary: boolean }[]; code: number; reason: string }> {
  const frames: { data: Buffer; binary: boolean }[] = [];
  socket.on("message", (data: Buffer, binary: boolean) => frames.push({ data, binary }));
  return new Promise((resolve, reject) => {
    socket.once("close", (code, reason) => resolve({ frames, code, reason: reason.toString() }));
    socket.once("unexpected-response", (_request, response) => reject(new Error(String(response.statusCode))));
    socket.once("error", reject);
  });
}

test("a message is answered in its own kind", async () => {
  const socket = dial("demo/echo/realtime");
  const closed = listen(socket);
  await once(socket, "open");
  socket.send(encode({ prompt: "x", bytes: new Uint8Array([1, 2]), request_id: "r1" }));
  await once(socket, "message");
  socket.send(`{"prompt":"y"}`);
  await once(socket, "message");
  socket.close();
  const { frames, code } = await closed;
  expect(frames[0]?.binary).toBe(true);
  expect(decode(new Uint8Array(frames[0]?.data ?? []))).toEqual({
    prompt: "x",
    bytes: new Uint8Array([1, 2]),
    request_id: "r1",
  });
  expect([frames[1]?.binary, frames[1]?.data.toString()]).toEqual([false, `{"prompt":"y"}`]);
  expect(code).toBe(1000);
});

test("messages are answered in order, and max_buffering keeps the newest", async () => {
  let release: () => void = () => undefined;
  const begun = new Promise<void>((started) => {
    emulator.app("me/first", async ({ n }: { n: number }, context) => {
      if (n === 0) {
        started();
        await new Promise<void>((resolve) => {
          release = resolve;
        });
      }
      await context.emit({ before: n });
      return n === 5 ? undefined : { n };
    });
  });
  const socket = dial("me/first/realtime?max_buffering=2");
  const closed = listen(socket);
  await once(socket, "open");
  for (let n = 0; n < 6; n += 1) socket.send(JSON.stringify({ n }));
  await begun;
  socket.ping();
  await once(socket, "pong");
  const all = answers(socket, 5);
  release();
  await all;
  socket.close(4001, "bye");
  const { frames, code } = await closed;
  expect(frames.map(({ data }) => data.toString())).toEqual([
    `{"before":0}`,
    `{"n":0}`,
    `{"before":4}`,
    `{"n":4}`,
    `{"before":5}`,
  ]);
  expect(code).toBe(4001);
});

test("many messages each way arrive whole and in order", async () => {
  const socket = dial("demo/echo/realtime");
  const closed = listen(socket);
  await once(socket, "open");
  const all = answers(socket, 2000);
  for (let n = 0; n < 2000; n += 1) socket.send(encode({ n }));
  await all;
  socket.close();
  const { frames } = await closed;
  expect(frames.map(({ data }) => (decode(data) as { n: number }).n)).toEqual(
    Array.from({ length: 2000 }, (_, n) => n),
  );
});

test("a socket without input gets TIMEOUT and a normal close", async () => {
  await restart({ realtime: { idleMs: 20 } });
  const { frames, code } = await listen(dial("demo/echo/realtime"));
  expect(JSON.parse(frames[0]?.data.toString() ?? "")).toMatchObject({ type: "x-fal-error", error: "TIMEOUT" });
  expect([frames[0]?.binary, code]).toEqual([false, 1000]);
});

test.each([
  ["message", { frames: [`{"status":"error","error":"Unauthorized"}`], code: 1008, reason: "Unauthorized" }],
  ["forbidden", { frames: [], code: 1008, reason: "Forbidden" }],
] as const)("a bad token meets refusal %s", async (refusal, expected) => {
  await restart({ realtime: { refusal } });
  const { frames, ...end } = await listen(dial("demo/echo/realtime?fal_jwt_token=bad", {}));
  expect({ frames: frames.map(({ data }) => data.toString()), ...end }).toEqual(expected);
});

test("a token opens the app that it was made for, while it lives", async () => {
  let time = Date.now();
  await restart({ now: () => time });
  const token = await issue("demo/echo");
  const socket = dial(`demo/echo/realtime?fal_jwt_token=${token}`, {});
  const closed = listen(socket);
  await once(socket, "open");
  socket.send(`{"n":1}`);
  await once(socket, "message");
  const other = await listen(dial(`demo/image/realtime?fal_jwt_token=${token}`, {}));
  expect([other.frames, other.code, other.reason]).toEqual([[], 1008, "Forbidden"]);
  time += 121_000;
  const late = await listen(dial(`demo/echo/realtime?fal_jwt_token=${token}`, {}));
  expect([late.frames[0]?.data.toString(), late.code]).toEqual([`{"status":"error","error":"Unauthorized"}`, 1008]);
  socket.send(`{"n":2}`);
  await once(socket, "message");
  socket.close();
  expect((await closed).frames).toHaveLength(2);
});

test("the time that an app takes is no time without input", async () => {
  await restart({ realtime: { idleMs: 20 } });
  emulator.app("me/late", () => new Promise((resolve) => setTimeout(() => resolve({ late: true }), 100)));
  const socket = dial("me/late/realtime");
  const closed = listen(socket);
  await once(socket, "open");
  socket.send("{}");
  const { frames } = await closed;
  expect(frames.map(({ data }) => data.toString())).toEqual([`{"late":true}`, expect.stringContaining("TIMEOUT")]);
});

test("where it is asked for, every result is followed by its time, as text", async () => {
  await restart({ realtime: { timings: true } });
  const socket = dial("demo/echo/realtime");
  const closed = listen(socket);
  await once(socket, "open");
  socket.send(encode({ n: 1 }));
  await answers(socket, 2);
  socket.close();
  const { frames } = await closed;
  expect(frames.map(({ binary }) => binary)).toEqual([true, false]);
  expect(JSON.parse(frames[1]?.data.toString() ?? "")).toEqual({
    type: "x-fal-message",
    action: "timings",
    timing: expect.any(Number) as number,
  });
});

test.each<[SessionFault, readonly (string | undefined)[], number, string]>([
  [{ happens: "unauthorized", afterResults: 1 }, [`{"status":"error","error":"Unauthorized"}`], 1008, "Unauthorized"],
  [{ happens: "forbidden", afterResults: 1 }, [], 1008, "Forbidden"],
  [{ happens: "timeout", afterResults: 1 }, [expect.stringContaining(`"error":"TIMEOUT"`) as string], 1000, ""],
  [{ happens: "internal-error", afterResults: 1 }, [expect.stringContaining("INTERNAL_ERROR") as string], 1000, ""],
  [{ happens: "drop", afterResults: 1 }, [], 1006, ""],
  [{ happens: "close", afterResults: 1, code: 4321, reason: "so" }, [], 4321, "so"],
  [{ happens: "close", afterResults: 1 }, [], 1011, ""],
])("within a session, after its first result: %j", async (session, last, code, reason) => {
  emulator.faults.add({ match: { kind: "realtime" }, session });
  const socket = dial("demo/echo/realtime");
  const closed = listen(socket);
  await once(socket, "open");
  socket.send(`{"n":1}`);
  const { frames, ...end } = await closed;
  expect(frames.map(({ data }) => data.toString())).toEqual([`{"n":1}`, ...last]);
  expect(end).toEqual({ code, reason });
});

test("a session may begin with an unreadable frame, or never answer", async () => {
  emulator.faults.add({ session: { happens: "unreadable" } });
  const odd = dial("demo/echo/realtime");
  const [data]: unknown[] = await once(odd, "message");
  expect(() => decode(data as Buffer)).toThrow();
  odd.send("{}");
  expect(String((await once(odd, "message"))[0])).toBe("{}");
  odd.close();
  emulator.faults.add({ session: { happens: "stall" } });
  const mute = dial("demo/echo/realtime");
  const closed = listen(mute);
  await once(mute, "open");
  mute.send("{}");
  mute.ping();
  await once(mute, "pong");
  mute.close();
  expect((await closed).frames).toEqual([]);
});

test("handshakes are refused as HTTP where asked for, for unknown apps and by faults", async () => {
  await expect(listen(dial("nobody/nothing/realtime"))).rejects.toThrow("404");
  emulator.faults.add({ match: { kind: "realtime" }, status: 503 });
  await expect(listen(dial("demo/echo/realtime"))).rejects.toThrow("503");
  await restart({ realtime: { refusal: "handshake" } });
  await expect(listen(dial("demo/echo/realtime", {}))).rejects.toThrow("401");
});

test("a message that cannot be read, or an app that fails, ends the session with INTERNAL_ERROR", async () => {
  for (const [path, message] of [
    ["demo/echo/realtime", "{"],
    ["demo/realtime", "{}"],
  ] as const) {
    const socket = dial(path);
    const closed = listen(socket);
    await once(socket, "open");
    socket.send(message);
    const { frames, code } = await closed;
    expect(JSON.parse(frames[0]?.data.toString() ?? "")).toMatchObject({
      type: "x-fal-error",
      error: "INTERNAL_ERROR",
    });
    expect(code).toBe(1000);
  }
});

test("close ends open sockets", async () => {
  const socket = dial("demo/echo/realtime");
  const closed = listen(socket);
  await once(socket, "open");
  await emulator.close();
  expect((await closed).code).toBe(1006);
});

/** Resolves when so many messages have come. */
function answers(socket: WebSocket, wanted: number): Promise<void> {
  let count = 0;
  return new Promise((resolve) => {
    socket.on("message", () => {
      count += 1;
      if (count === wanted) resolve();
    });
  });
}
