import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { closeFrame, createFrameScan, isAtFrameBoundary, scanFrames } from "./frames.ts";

const limits = { maxMessageBytes: 1000, maxControlFrames: 5 };

function frame(opcode: number, length: number, { final = true, masked = false } = {}): Buffer {
  const size =
    length < 126
      ? [length]
      : length < 65536
        ? [126, length >> 8, length & 255]
        : [127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255];
  const [first = 0, ...rest] = size;
  return Buffer.concat([
    Buffer.from([(final ? 0x80 : 0) | opcode, first | (masked ? 0x80 : 0), ...rest, ...(masked ? [1, 2, 3, 4] : [])]),
    Buffer.alloc(length, 0x88),
  ]);
}

describe("frame scanner", () => {
  it("passes every byte, whatever the chunks", () => {
    const frames = fc.array(
      fc.record({ opcode: fc.constantFrom(1, 2), length: fc.integer({ min: 0, max: 400 }), masked: fc.boolean() }),
      { maxLength: 20 },
    );
    const property = fc.property(frames, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (list, cuts) => {
      const bytes = Buffer.concat(list.map(({ opcode, length, masked }) => frame(opcode, length, { masked })));
      const scanner = createFrameScan(limits);
      const passed: Buffer[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
        const step = cuts[turn % cuts.length] ?? 1;
        passed.push(Buffer.from(scanFrames(scanner, bytes.subarray(at, at + step)).pass));
        at += step;
      }
      expect(Buffer.concat(passed).equals(bytes)).toBe(true);
      expect(isAtFrameBoundary(scanner)).toBe(true);
      expect(scanner.frames).toBe(list.length);
    });
    fc.assert(property);
  });

  it("stops at the frame boundary, not within a frame", () => {
    const scanner = createFrameScan(limits);
    const first = frame(2, 100);
    scanFrames(scanner, first.subarray(0, 40));
    expect(isAtFrameBoundary(scanner)).toBe(false);
    scanner.stopping = true;
    const { pass, stopped } = scanFrames(scanner, Buffer.concat([first.subarray(40), frame(1, 5)]));
    expect(pass.equals(first.subarray(40))).toBe(true);
    expect(stopped).toBe(true);
  });

  it.each([
    ["a message over the limit", frame(2, 1001)],
    ["fragments that add up over it", Buffer.concat([frame(2, 600, { final: false }), frame(0, 600)])],
    ["a length with the top bit set", Buffer.from([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0])],
    ["a length of 2^53 + 1", Buffer.from([0x82, 127, 0, 0x20, 0, 0, 0, 0, 0, 1])],
  ])("%s is 1009 before its payload", (_name, bytes) => {
    expect(scanFrames(createFrameScan(limits), bytes).violation).toBe(1009);
  });

  it("counts control frames per second", () => {
    let time = 0;
    const scanner = createFrameScan(limits);
    const pings = Buffer.concat(Array.from({ length: 5 }, () => frame(9, 2)));
    expect(scanFrames(scanner, pings, () => time).violation).toBeUndefined();
    time = 1000;
    expect(scanFrames(scanner, pings, () => time).violation).toBeUndefined();
    expect(scanFrames(scanner, frame(9, 2), () => time).violation).toBe(1008);
  });

  it("a control frame between fragments leaves the message's sum alone", () => {
    const scanner = createFrameScan(limits);
    expect(
      scanFrames(scanner, Buffer.concat([frame(1, 900, { final: false }), frame(9, 100), frame(0, 101)])).violation,
    ).toBe(1009);
  });

  it("sees a close frame", () => {
    expect(scanFrames(createFrameScan(limits), closeFrame(1000, "bye", true)).closes).toBe(true);
    expect(closeFrame(1008, "no", false)).toEqual(Buffer.from([0x88, 4, 0x03, 0xf0, 0x6e, 0x6f]));
  });

  it("a close frame that comes in pieces passes whole, and nothing behind it", () => {
    const bytes = closeFrame(1000, "bye", true);
    const scanner = createFrameScan(limits);
    const scans = [...bytes].map((byte) => scanFrames(scanner, Buffer.from([byte])));
    expect(Buffer.concat(scans.map(({ pass }) => pass)).equals(bytes)).toBe(true);
    expect(scans.map(({ closes }) => closes).indexOf(true)).toBe(bytes.length - 1);
    const more = scanFrames(createFrameScan(limits), Buffer.concat([bytes, frame(1, 5, { masked: true })]));
    expect([more.pass.equals(bytes), more.closes]).toEqual([true, true]);
  });
});
