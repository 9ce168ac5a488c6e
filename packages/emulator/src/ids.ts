import { createHash } from "node:crypto";

/** Ids that depend on nothing but the seed, how many of their sort were made before, and resets. */
export interface Ids {
  /** In the form of a version 7 UUID, as fal's request ids are. */
  uuid(sort: string): string;
  /** Lower-case hex digits. */
  hex(sort: string, digits: number): string;
  /** Starts every sort anew, or again with the same ids. */
  reset(again: boolean): void;
}

/** The time part of the first id; the following ids count on from it, so that they sort in order of making. */
const firstMoment = 0x019e161b386c;

export function createIds(seed: string): Ids {
  const made = new Map<string, number>();
  let resets = 0;
  const next = (sort: string): { count: number; digest: string } => {
    const count = (made.get(sort) ?? 0) + 1;
    made.set(sort, count);
    return { count, digest: createHash("sha256").update(`${seed}\n${sort}\n${count}\n${resets}`).digest("hex") };
  };
  return {
    uuid(sort) {
      const { count, digest } = next(sort);
      const time = (firstMoment + count).toString(16).padStart(12, "0");
      const variant = "89ab"[Number.parseInt(digest.slice(3, 4), 16) % 4];
      return [
        time.slice(0, 8),
        time.slice(8),
        `7${digest.slice(0, 3)}`,
        `${variant}${digest.slice(4, 7)}`,
        digest.slice(7, 19),
      ].join("-");
    },
    hex: (sort, digits) => next(sort).digest.slice(0, digits),
    reset(again) {
      made.clear();
      resets = again ? 0 : resets + 1;
    },
  };
}
