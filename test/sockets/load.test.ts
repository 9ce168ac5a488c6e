import { createHash } from "node:crypto";
import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { type EchoPlace, handshakeTo, startEcho } from "./echo.ts";
import { closing, frame } from "./raw-frames.ts";

leaveNothingOpen();

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function start(...given: Parameters<typeof startEcho>): Promise<EchoPlace> {
  const place = await startEcho(...given);
  closers.push(() => place.close());
  return place;
}

async function openTo(place: EchoPlace): Promise<WebSocket> {
  const socket = new WebSocket(place.tunnelled, { perMessageDeflate: false });
  closers.push(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

/** Mostly small, every hundredth up to 64 KiB: the same sizes each time. */
function sizeOf(number: number): number {
  return number % 100 === 0 ? (number * 7919) % 65_537 : (number * 31) % 200;
}

const messages = 100_000;

describe("under load", () => {
  it("W45, W46 100,000 messages each way at once: count, order, kind and hash equal", { timeout: 60_000 }, async () => {
    const far = Promise.withResolvers<WebSocket>();
    const place = await start({}, far.resolve);
    const ends = [await openTo(place), await far.promise];
    const noise = Buffer.from(Array.from({ length: 65_537 }, (_, index) => (index * 31) % 127));
    const expected = createHash("sha256");
    for (let number = 0; number < messages; number += 1)
      expected.update(`${sizeOf(number)} ${number % 2 === 0}`).update(noise.subarray(0, sizeOf(number)));
    const digest = expected.digest("hex");
    const heard = ends.map((end) => listen(end));
    await Promise.all(ends.map((end) => sayAll(end, noise)));
    expect(await Promise.all(heard)).toEqual([digest, digest]);
  });

  it.each(["upstream", "the caller"])(
    "W63, W64 a firehose of %s against a reader who sleeps is held back, and loses nothing",
    { timeout: 30_000 },
    async (side) => {
      const far = Promise.withResolvers<WebSocket>();
      const place = await start({}, far.resolve);
      const [near, accepted] = [await openTo(place), await far.promise];
      const [writer, reader] = side === "upstream" ? [accepted, near] : [near, accepted];
      const socket = rawOf(writer);
      const block = frame({ opcode: 2, payload: Buffer.alloc(1024 * 1024), masked: writer === near });
      let written = 0;
      const held = Promise.withResolvers<void>();
      rawOf(reader).pause();
      const total = 256;
      const pour = async (): Promise<void> => {
        while (written < total) {
          written += 1;
          if (socket.write(block)) continue;
          const drained = once(socket, "drain");
          const timer = setTimeout(held.resolve, 300);
          await drained;
          clearTimeout(timer);
        }
      };
      const poured = pour();
      await held.promise;
      // Kernel buffers of four sockets, and one chunk of ours.
      expect(written).toBeLessThan(32);
      let got = 0;
      reader.on("message", () => (got += 1));
      rawOf(reader).resume();
      await poured;
      await expect.poll(() => got, { timeout: 20_000 }).toBe(total);
    },
  );

  it(
    "W79 1,000 sockets whose upstream dies are all closed, at little cost and by no timer",
    { timeout: 25_000 },
    async () => {
      // Whoever waited for this would not be done before the test is given up.
      const place = await start({ timeouts: { socketClose: 60_000 } });
      const sockets: WebSocket[] = [];
      for (let batch = 0; batch < 20; batch += 1)
        sockets.push(...(await Promise.all(Array.from({ length: 50 }, () => openTo(place)))));
      const codes = Promise.all(
        sockets.map(
          async (socket) =>
            (
              await once(
                socket.on("error", () => undefined),
                "close",
              )
            )[0] as number,
        ),
      );
      const before = process.cpuUsage();
      await place.upstream.close();
      expect(new Set(await codes)).toEqual(new Set([1011]));
      expect(process.cpuUsage(before).user).toBeLessThan(1_000_000);
    },
  );

  it(
    "W66 10,000 sockets opened and closed leave nothing: handles, timers, places, memory",
    { timeout: 90_000 },
    async () => {
      const place = await start({ limits: { caller: { requests: { max: 1_000_000, per: "minute" }, streams: 64 } } });
      await cycle(place, 1000);
      const before = await settled();
      await cycle(place, 9000);
      const after = await settled();
      expect(after.handles).toEqual(before.handles);
      expect(after.heap - before.heap).toBeLessThan(4 * 1024 * 1024);
      await expect.poll(() => place.accepted.size).toBe(0);
    },
  );

  it("W80 noise both ways at every moment: nothing is thrown, nothing stays", { timeout: 30_000 }, async () => {
    const place = await start({}, (socket) => {
      rawOf(socket).write(noiseOf(place.accepted.size));
      if (place.accepted.size % 3 === 0) rawOf(socket).resetAndDestroy();
    });
    for (let round = 0; round < 300; round += 1) {
      const socket = dial(place).resume();
      const handshake = Buffer.from(handshakeTo(place.tunnelled));
      socket.write(Buffer.concat([handshake.subarray(0, round % 7 === 0 ? round : handshake.length), noiseOf(round)]));
      if (round % 2 === 0) await new Promise(setImmediate);
      if (round % 5 === 0) socket.resetAndDestroy();
      else socket.end();
    }
    await expect.poll(() => place.accepted.size, { timeout: 5000 }).toBe(0);
  });
});

/** Opens and closes, 32 at a time: by a close frame, by an end, and by a reset. */
async function cycle(place: EchoPlace, times: number): Promise<void> {
  const close = frame({ opcode: 8, payload: closing(1000) });
  let left = times;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      const kind = left % 3;
      left -= 1;
      const socket = dial(place);
      socket.write(handshakeTo(place.tunnelled));
      const [chunk] = (await once(socket, "data")) as [Buffer];
      expect(chunk.subarray(9, 12).toString()).toBe("101");
      const gone = once(socket, "close");
      socket.resume();
      if (kind === 0) socket.write(close);
      else if (kind === 1) socket.end();
      else socket.resetAndDestroy();
      await gone;
    }
  };
  await Promise.all(Array.from({ length: 32 }, worker));
}

function dial(place: EchoPlace): Socket {
  const socket = connect(Number(new URL(place.tunnelled).port), "127.0.0.1").on("error", () => undefined);
  return socket;
}

/** Handles and heap once everything that was closed is gone. */
async function settled(): Promise<{ handles: Record<string, number>; heap: number }> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const handles = (): Record<string, number> => {
    const counts: Record<string, number> = {};
    for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
    return counts;
  };
  await expect.poll(() => handles()["TCPSocketWrap"] ?? 0, { timeout: 10_000 }).toBe(0);
  await expect.poll(() => (collect(), handles()["Timeout"] ?? 0), { timeout: 10_000 }).toBeLessThan(8);
  collect();
  const { Timeout: _timers, Immediate: _immediates, ...others } = handles();
  return { handles: others, heap: process.memoryUsage().heapUsed };
}

/** Says all messages, waiting where the socket is full. */
async function sayAll(socket: WebSocket, noise: Buffer): Promise<void> {
  for (let number = 0; number < messages; number += 1) {
    socket.send(noise.subarray(0, sizeOf(number)), { binary: number % 2 === 0 });
    if (socket.bufferedAmount > 1024 * 1024) await new Promise(setImmediate);
  }
}

/** The hash of all messages in the order in which they came. */
function listen(socket: WebSocket): Promise<string> {
  const hash = createHash("sha256");
  let count = 0;
  return new Promise((resolve) => {
    socket.on("message", (data: Buffer, binary: boolean) => {
      hash.update(`${data.length} ${binary}`).update(data);
      count += 1;
      if (count === messages) resolve(hash.digest("hex"));
    });
  });
}

/** The same bytes for the same seed. */
function noiseOf(seed: number): Buffer {
  return createHash("sha512").update(String(seed)).digest();
}

/** The connection below one of ws's own sockets. */
function rawOf(socket: WebSocket): Socket {
  return (socket as unknown as { _socket: Socket })._socket;
}
