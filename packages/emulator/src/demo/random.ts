import { createHash } from "node:crypto";

/** A whole number below 2³² that follows from the text. */
export function toSeed(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE(0);
}

/** Numbers from 0 to below 1, always the same ones for a seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
