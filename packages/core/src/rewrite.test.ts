import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { chainRewriters, concat, createRewriter } from "./rewrite.ts";
import type { Rewriter } from "./seam.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

function pass(rewriter: Rewriter, text: string, cuts: readonly number[]): string {
  const bytes = encoder.encode(text);
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  const parts = edges.slice(1).map((edge, index) => rewriter.push(bytes.subarray(edges[index], edge)));
  return decoder.decode(concat([...parts, rewriter.end()]));
}

const needle = fc.stringMatching(/^[ab]{1,5}$/);
const text = fc.stringMatching(/^[abcé]{0,60}$/);
const cuts = fc.array(fc.nat(200), { maxLength: 12 });

describe("for any chunking", () => {
  it("the result is what replaceAll gives", () => {
    fc.assert(
      fc.property(needle, fc.string({ maxLength: 8 }), text, cuts, (from, to, given, at) => {
        expect(pass(createRewriter(from, to), given, at)).toBe(given.replaceAll(from, () => to));
      }),
      { numRuns: 3000 },
    );
  });
  it("two in a row are one after the other", () => {
    fc.assert(
      fc.property(needle, needle, text, cuts, (first, second, given, at) => {
        const chain = chainRewriters(createRewriter(first, "xbay"), createRewriter(second, "z"));
        expect(pass(chain, given, at)).toBe(given.replaceAll(first, "xbay").replaceAll(second, "z"));
      }),
      { numRuns: 1000 },
    );
  });
  it("nothing is held back but what may still become the needle", () => {
    fc.assert(
      fc.property(needle, text, text, (from, before, after) => {
        const rewriter = createRewriter(from, "X");
        let sent = decoder.decode(rewriter.push(encoder.encode(before)), { stream: false });
        const whole = before.replaceAll(from, "X");
        const held = whole.slice(sent.length);
        expect(whole.startsWith(sent) && from.startsWith(held) && held.length < from.length).toBe(true);
        sent += decoder.decode(concat([rewriter.push(encoder.encode(after)), rewriter.end()]));
        expect(sent).toBe((before + after).replaceAll(from, "X"));
      }),
      { numRuns: 2000 },
    );
  });
});

it("an event goes out with the chunk that completed it", () => {
  const rewriter = createRewriter("019e161b", "019e161b.mac");
  expect(decoder.decode(rewriter.push(encoder.encode('data: {"request_id":"019e161b"}\n\n')))).toBe(
    'data: {"request_id":"019e161b.mac"}\n\n',
  );
  expect(rewriter.end()).toHaveLength(0);
});

it("what it keeps does not follow the caller's buffer", () => {
  const rewriter = createRewriter("abc", "X");
  const chunk = encoder.encode("ab");
  rewriter.push(chunk);
  chunk.fill(0);
  expect(decoder.decode(rewriter.push(encoder.encode("c")))).toBe("X");
});

it("empty chunks and an empty needle change nothing", () => {
  expect(createRewriter("a", "b").push(new Uint8Array(0))).toHaveLength(0);
  expect(pass(createRewriter("", "b"), "aaa", [1])).toBe("aaa");
});

it("a body made to be slow is not", () => {
  const before = process.cpuUsage();
  const rewriter = createRewriter(`${"a".repeat(250)}b`, "X");
  const chunk = encoder.encode("a".repeat(16_384));
  for (let index = 0; index < 64; index += 1) rewriter.push(chunk);
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(4000);
});
