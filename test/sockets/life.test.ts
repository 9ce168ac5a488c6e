import { once } from "node:events";
import { Socket } from "node:net";
import type { CallEvent, KeywayOptions } from "@keyway/core";
import { afterEach, describe, expect, it, vi } from "vitest";
import { WebSocket } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { type EchoPlace, startEcho } from "./echo.ts";

leaveNothingOpen();

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

interface Pair {
  readonly place: EchoPlace;
  readonly near: WebSocket;
  readonly far: WebSocket;
  /** The event of the finished call. */
  readonly ended: Promise<CallEvent>;
}

/** Both ends of one open tunnel. */
async function open(options: Partial<KeywayOptions> = {}): Promise<Pair> {
  const far = Promise.withResolvers<WebSocket>();
  const ended = Promise.withResolvers<CallEvent>();
  const observe: KeywayOptions["observe"] = (event) => void (event.type === "call" && ended.resolve(event));
  const place = await startEcho({ observe, ...options }, far.resolve);
  const near = new WebSocket(place.tunnelled).on("error", () => undefined);
  closers.push(
    () => place.close(),
    () => near.terminate(),
  );
  await once(near, "open");
  return { place, near, far: await far.promise, ended: ended.promise };
}

async function closeOf(socket: WebSocket): Promise<readonly [number, string]> {
  const [code, reason] = (await once(socket, "close")) as [number, Buffer];
  return [code, reason.toString()];
}

describe("each side judges: closing is theirs, and passes as it was sent", () => {
  it.each<[string, number | undefined, string]>([
    ["W48 1000 and a reason", 1000, "bye"],
    ["W49 4000", 4000, ""],
    ["W49 4999", 4999, "x"],
    ["W50 no code", undefined, ""],
    ["W58 a reason of 123 bytes", 1000, "é".repeat(61)],
  ])("%s, W74 from either side", async (_row, code, reason) => {
    for (const side of ["near", "far"] as const) {
      const pair = await open();
      const [heard, back] = [closeOf(side === "near" ? pair.far : pair.near), closeOf(pair[side])];
      pair[side].close(code, reason);
      expect([await heard, await back]).toEqual([
        [code ?? 1005, reason],
        [code ?? 1005, reason],
      ]);
      expect((await pair.ended).outcome).toBe("complete");
    }
  });

  it("W57 what comes after a close frame is dropped", async () => {
    const { near, far } = await open();
    const heard: string[] = [];
    far.on("message", (data: Buffer) => heard.push(data.toString()));
    const gone = closeOf(far);
    near.close(1000);
    rawOf(near).write(Buffer.from([0x81, 0x81, 0, 0, 0, 0, 97]));
    await gone;
    expect(heard).toEqual([]);
  });
});

describe("we judge, when a side is lost, idle, slow or no longer let in", () => {
  it.each(["near", "far"] as const)(
    "W51 a reset of the %s side closes the other with a code of the wire",
    async (side) => {
      const pair = await open();
      const heard = closeOf(side === "near" ? pair.far : pair.near);
      rawOf(pair[side]).resetAndDestroy();
      expect([1001, 1011]).toContain((await heard)[0]);
      expect((await pair.ended).outcome).toBe(side === "near" ? "left" : "cut");
    },
  );

  it("W51 a reset in the middle of a frame is no clean end", async () => {
    const pair = await open();
    const heard = closeOf(pair.near);
    rawOf(pair.far).write(Buffer.from([0x82, 10, 1]), () => rawOf(pair.far).resetAndDestroy());
    expect((await heard)[0]).toBe(1006);
    expect((await pair.ended).outcome).toBe("cut");
  });

  it.each(["near", "far"] as const)("W56 a %s side that ignores the close frame is let go", async (side) => {
    const pair = await open({ timeouts: { socketClose: 100 } });
    rawOf(pair[side]).pause();
    const back = closeOf(side === "near" ? pair.far : pair.near);
    (side === "near" ? pair.far : pair.near).close(1000);
    await back;
    expect((await pair.ended).outcome).toBe("complete");
    await vi.waitFor(() => expect(pair.place.accepted.size).toBeLessThanOrEqual(side === "far" ? 1 : 0));
    rawOf(pair[side]).resume();
  });

  it("W62 a dead peer is TCP's to notice, on both sides", async () => {
    const spy = vi.spyOn(Socket.prototype, "setKeepAlive");
    closers.push(() => spy.mockRestore());
    await open();
    expect(spy.mock.calls.filter(([on, delay]) => on === true && delay === 30_000)).toHaveLength(2);
  });

  it("W62 silence both ways ends with 1001", async () => {
    const { near, far } = await open({ timeouts: { socketIdle: 100 } });
    expect(await Promise.all([closeOf(near), closeOf(far)])).toEqual([
      [1001, "idle"],
      [1001, "idle"],
    ]);
  });

  it("traffic one way is no silence", async () => {
    const { near, far } = await open({ timeouts: { socketIdle: 1500 } });
    for (let count = 0; count < 5; count += 1) {
      near.send("x");
      await once(far, "message");
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    expect(near.readyState).toBe(WebSocket.OPEN);
  });

  it("W65 a reader that takes nothing: the sender hears 1013, and both are freed", async () => {
    const { near, far, place, ended } = await open({ timeouts: { socketStall: 200, socketClose: 200 } });
    near.pause();
    const heard = closeOf(far);
    const block = Buffer.alloc(1024 * 1024);
    for (let count = 0; count < 64; count += 1) far.send(block);
    await ended;
    expect([1006, 1013]).toContain((await heard)[0]);
    await expect.poll(() => place.accepted.size).toBe(0);
    near.resume();
  });

  it("W72 a caller who is no longer let in: 1008 both ways", async () => {
    let lets = 1;
    const authorize: KeywayOptions["authorize"] = () => (lets-- > 0 ? { id: "ada" } : null);
    const { near, far, ended } = await open({ authorize, reauthorize: 50 });
    expect(await Promise.all([closeOf(near), closeOf(far)])).toEqual([
      [1008, "no longer allowed"],
      [1008, "no longer allowed"],
    ]);
    expect((await ended).outcome).toBe("stopped");
  });

  it("W72 by default he is asked again every minute", async () => {
    vi.useFakeTimers({ toFake: ["setInterval"] });
    closers.push(() => vi.useRealTimers());
    let lets = 1;
    const { near } = await open({ authorize: () => (lets-- > 0 ? { id: "ada" } : null) });
    const heard = closeOf(near);
    await vi.advanceTimersByTimeAsync(60_000);
    expect((await heard)[0]).toBe(1008);
  });

  it("W72 in the middle of a message the close frame waits for the frame boundary", async () => {
    let lets = 1;
    const authorize: KeywayOptions["authorize"] = () => (lets-- > 0 ? { id: "ada" } : null);
    const { near, far } = await open({ authorize, reauthorize: 50 });
    const [message, heard] = [once(near, "message"), closeOf(near)];
    rawOf(far).pause();
    rawOf(far).write(Buffer.from([0x82, 4, 1, 2]));
    await vi.waitFor(() => expect(lets).toBeLessThan(0));
    await new Promise(setImmediate);
    rawOf(far).write(Buffer.from([3, 4, 0x82, 1, 9]));
    expect([...((await message)[0] as Buffer)]).toEqual([1, 2, 3, 4]);
    near.on("message", () => expect.fail("nothing may follow"));
    expect((await heard)[0]).toBe(1008);
    rawOf(far).resume();
  });

  it("W73 draining: 1001 both ways, then nothing is open", async () => {
    const { near, far, place } = await open();
    const both = [closeOf(near), closeOf(far)];
    expect(await place.drain()).toEqual({ finished: 1, cut: 0 });
    expect(await Promise.all(both)).toEqual([
      [1001, "going away"],
      [1001, "going away"],
    ]);
  });
});

/** The connection below one of ws's own sockets. */
function rawOf(socket: WebSocket): Socket {
  return (socket as unknown as { _socket: Socket })._socket;
}
