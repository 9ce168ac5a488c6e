import { once } from "node:events";
import type { Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { type EchoPlace, converse, startEcho } from "./echo.ts";
import { chop, closing, frame, readFrames } from "./raw-frames.ts";

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

/** The code of the close frame that ends what was heard. */
function codeIn(heard: Buffer): number | undefined {
  const last = readFrames(heard).at(-1);
  return last?.opcode === 8 && last.payload.length > 1 ? last.payload.readUInt16BE(0) : undefined;
}

const fragment = frame({ opcode: 0, payload: "a", fin: false });
const emptyFragment = frame({ opcode: 0, fin: false });
const compressed = ["sec-websocket-extensions: permessage-deflate"];

describe("upstream judges, with the tunnel as without", () => {
  it.each<[string, number, readonly Buffer[], (readonly string[])?]>([
    ["W31 a frame without a mask", 1002, [frame({ payload: "a", masked: false })]],
    ["W33 RSV1 without an extension", 1002, [frame({ payload: "a", rsv: 4 })]],
    ["W35 a fragmented ping", 1002, [frame({ opcode: 9, fin: false })]],
    ["W37 text that is not UTF-8", 1007, [frame({ payload: Buffer.from([0xc3, 0x28]) })]],
    [
      "W42 1,000,000 fragments of one byte",
      1008,
      [Buffer.concat([frame({ payload: "a", fin: false }), ...Array.from({ length: 1_000_000 }, () => fragment)])],
    ],
    [
      "W43 1,000,000 empty fragments",
      1008,
      [Buffer.concat([frame({ fin: false }), ...Array.from({ length: 1_000_000 }, () => emptyFragment)])],
    ],
    ["W52 close code 2999", 1002, [frame({ opcode: 8, payload: closing(2999) })]],
    ["W55 a close reason that is not UTF-8", 1007, [frame({ opcode: 8, payload: closing(1000, Buffer.from([0xff])) })]],
    [
      "W70 RSV1 on a continuation",
      1002,
      [frame({ payload: "a", fin: false, rsv: 4 }), frame({ opcode: 0, rsv: 4 })],
      compressed,
    ],
    ["W71 corrupted deflate data", 1007, [frame({ payload: Buffer.alloc(64, 0xff), rsv: 4 })], compressed],
  ])("%s", async (_row, code, pieces, lines = []) => {
    const place = await start({ sockets: { deflate: true } }, undefined, { perMessageDeflate: true });
    const heard = await converse(place.tunnelled, pieces, lines);
    expect(codeIn(heard)).toBe(code);
    expect(heard.equals(await converse(place.direct, pieces, lines))).toBe(true);
  });

  it("W69 with deflate on, zeros that grow a thousandfold: 1009 by upstream's own limit", async () => {
    const place = await start({ sockets: { deflate: true } }, undefined, {
      perMessageDeflate: true,
      maxPayload: 1_000_000,
    });
    const socket = new WebSocket(place.tunnelled);
    await once(socket, "open");
    expect(socket.extensions).toContain("permessage-deflate");
    socket.send(Buffer.alloc(64 * 1024 * 1024));
    expect((await once(socket, "close"))[0]).toBe(1009);
  });

  it("W47 a message of 64 KiB in segments of one byte", async () => {
    const place = await start();
    const message = frame({ opcode: 2, payload: Buffer.alloc(65_536, 7) });
    const heard = await converse(place.tunnelled, [...chop(message), frame({ opcode: 8, payload: closing(1000) })]);
    expect(readFrames(heard)[0]?.payload.equals(Buffer.alloc(65_536, 7))).toBe(true);
  });
});

describe("the caller judges", () => {
  it("W32 a masked frame from upstream", async () => {
    const place = await start({}, (far) => rawOf(far).write(frame({ payload: "a" })));
    const socket = new WebSocket(place.tunnelled);
    const [error] = (await once(socket, "error")) as [Error];
    expect(error.message).toContain("MASK must be clear");
    await expect.poll(() => place.accepted.size).toBe(0);
  });
});

describe("we judge, by the header of a frame", () => {
  it.each<[string, number | undefined, readonly Buffer[]]>([
    ["W39 a length with its top bit set", 1009, [frame({ announced: 2n ** 63n })]],
    ["W39 a length beyond what a number holds", 1009, [frame({ announced: 2n ** 53n + 1n })]],
    ["W40 a GiB announced, then silence", 1009, [frame({ announced: 2n ** 30n })]],
    [
      "W41 a message of the limit",
      1000,
      [frame({ payload: "a".repeat(1000) }), frame({ opcode: 8, payload: closing(1000) })],
    ],
    ["W41 one byte more", 1009, [frame({ payload: "a".repeat(1001) })]],
    [
      "W41 one byte more by fragments",
      1009,
      [frame({ payload: "a".repeat(1000), fin: false }), frame({ opcode: 0, payload: "a" })],
    ],
    [
      "W61 more than 1,000 pings a second",
      1008,
      [Buffer.concat(Array.from({ length: 5000 }, () => frame({ opcode: 9 })))],
    ],
  ])("%s", async (_row, code, pieces) => {
    const place = await start({ sockets: { maxMessageBytes: 1000 } });
    const other = new WebSocket(place.tunnelled);
    await once(other, "open");
    const heard = await converse(place.tunnelled, pieces);
    expect(codeIn(heard)).toBe(code);
    other.send("still here");
    expect(String((await once(other, "message"))[0])).toBe("still here");
    other.terminate();
  });

  it("W41 a message of upstream's that is too large: 1009 both ways", async () => {
    const codes = Promise.withResolvers<number>();
    const place = await start({ sockets: { maxMessageBytes: 1000 } }, (far) => {
      far.on("close", codes.resolve);
      far.send("a".repeat(1001));
    });
    const socket = new WebSocket(place.tunnelled);
    expect([(await once(socket, "close"))[0], await codes.promise]).toEqual([1009, 1009]);
  });
});

/** The connection below one of ws's own sockets. */
function rawOf(socket: WebSocket): Socket {
  return (socket as unknown as { _socket: Socket })._socket;
}
