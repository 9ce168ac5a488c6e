import type { Rewriter } from "./seam.ts";

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");
const nothing: Uint8Array = new Uint8Array(0);

/**
 * Replaces one byte string by another in a body that passes through, across chunk borders too. Nothing is held back but the
 * longest tail that may still become the string, so an event goes out with the chunk that completed it. Both are ASCII.
 */
export function createRewriter(from: string, to: string): Rewriter {
  let needle = nothing;
  let replacement = nothing;
  let tail = nothing;
  return {
    push(chunk) {
      if (needle === nothing) [needle, replacement] = [encoder.encode(from), encoder.encode(to)];
      const bytes = tail.length === 0 ? chunk : concat([tail, chunk]);
      const parts: Uint8Array[] = [];
      let done = 0;
      for (let at = indexOf(bytes, needle, 0); at >= 0; at = indexOf(bytes, needle, done)) {
        parts.push(bytes.subarray(done, at), replacement);
        done = at + needle.length;
      }
      const hold = heldLength(bytes, done, needle);
      tail = bytes.slice(bytes.length - hold);
      parts.push(bytes.subarray(done, bytes.length - hold));
      return parts.length === 1 && parts[0] !== undefined ? parts[0] : concat(parts);
    },
    end() {
      const rest = tail;
      tail = nothing;
      return rest;
    },
    whole: (text) => (from === "" ? text : text.split(from).join(to)),
  };
}

/** One rewriter after another. */
export function chainRewriters(first: Rewriter, second: Rewriter): Rewriter {
  return {
    push: (chunk) => second.push(first.push(chunk)),
    end: () => concat([second.push(first.end()), second.end()]),
    whole: (text) => second.whole(first.whole(text)),
  };
}

/** Lets a listener see every chunk as it came, as latin1 text, before the rewriter has it. */
export function tapRewriter(listen: (text: string) => void, rewriter: Rewriter | undefined): Rewriter {
  return {
    push(chunk) {
      listen(latin1.decode(chunk));
      return rewriter === undefined ? chunk : rewriter.push(chunk);
    },
    end: () => rewriter?.end() ?? nothing,
    whole(text) {
      listen(text);
      return rewriter === undefined ? text : rewriter.whole(text);
    },
  };
}

/** Length of the longest tail of `bytes` (from `start` on) that is a proper beginning of the needle. */
function heldLength(bytes: Uint8Array, start: number, needle: Uint8Array): number {
  const longest = Math.min(needle.length - 1, bytes.length - start);
  for (let length = longest; length > 0; length -= 1) {
    const offset = bytes.length - length;
    let index = 0;
    while (index < length && bytes[offset + index] === needle[index]) index += 1;
    if (index === length) return length;
  }
  return 0;
}

function indexOf(bytes: Uint8Array, needle: Uint8Array, start: number): number {
  const first = needle[0];
  if (first === undefined) return -1;
  const last = bytes.length - needle.length;
  for (let at = bytes.indexOf(first, start); at >= 0 && at <= last; at = bytes.indexOf(first, at + 1)) {
    let index = 1;
    while (index < needle.length && bytes[at + index] === needle[index]) index += 1;
    if (index === needle.length) return at;
  }
  return -1;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
