import type { Rewriter } from "./seam.ts";

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");
const nothing: Uint8Array = new Uint8Array(0);

/**
 * Replaces one byte string by another in a body that passes through, across chunk borders too. Nothing is held back but the
 * longest tail that may still become the string, so an event goes out with the chunk that completed it. Both are ASCII.
 */
export function createRewriter(from: string, to: string): Rewriter {
  return new Replacement(from, to);
}

/** One rewriter after another. */
export function chainRewriters(first: Rewriter, second: Rewriter): Rewriter {
  return new Chain(first, second);
}

/** Hears a body as it came, as latin1 text. */
export interface Listener {
  push(text: string): void;
  end(): void;
}

/** Lets a listener hear what comes before the rewriter has it. */
export function tapRewriter(listener: Listener, rewriter: Rewriter | undefined): Rewriter {
  return new Tap(listener, rewriter);
}

class Replacement implements Rewriter {
  readonly #from: string;
  readonly #to: string;
  #needle = nothing;
  #replacement = nothing;
  #tail = nothing;

  constructor(from: string, to: string) {
    this.#from = from;
    this.#to = to;
  }

  push(chunk: Uint8Array): Uint8Array {
    if (this.#needle === nothing)
      [this.#needle, this.#replacement] = [encoder.encode(this.#from), encoder.encode(this.#to)];
    const needle = this.#needle;
    const bytes = this.#tail.length === 0 ? chunk : concat([this.#tail, chunk]);
    const parts: Uint8Array[] = [];
    let done = 0;
    for (let at = indexOf(bytes, needle, 0); at >= 0; at = indexOf(bytes, needle, done)) {
      parts.push(bytes.subarray(done, at), this.#replacement);
      done = at + needle.length;
    }
    const hold = heldLength(bytes, done, needle);
    this.#tail = bytes.slice(bytes.length - hold);
    parts.push(bytes.subarray(done, bytes.length - hold));
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : concat(parts);
  }

  end(): Uint8Array {
    const rest = this.#tail;
    this.#tail = nothing;
    return rest;
  }

  whole(text: string): string {
    return this.#from === "" ? text : text.split(this.#from).join(this.#to);
  }
}

class Chain implements Rewriter {
  readonly #first: Rewriter;
  readonly #second: Rewriter;

  constructor(first: Rewriter, second: Rewriter) {
    this.#first = first;
    this.#second = second;
  }

  push(chunk: Uint8Array): Uint8Array {
    return this.#second.push(this.#first.push(chunk));
  }

  end(): Uint8Array {
    return concat([this.#second.push(this.#first.end()), this.#second.end()]);
  }

  whole(text: string): string {
    return this.#second.whole(this.#first.whole(text));
  }
}

class Tap implements Rewriter {
  readonly #listener: Listener;
  readonly #rewriter: Rewriter | undefined;

  constructor(listener: Listener, rewriter: Rewriter | undefined) {
    this.#listener = listener;
    this.#rewriter = rewriter;
  }

  push(chunk: Uint8Array): Uint8Array {
    this.#listener.push(latin1.decode(chunk));
    return this.#rewriter === undefined ? chunk : this.#rewriter.push(chunk);
  }

  end(): Uint8Array {
    this.#listener.end();
    return this.#rewriter?.end() ?? nothing;
  }

  whole(text: string): string {
    this.#listener.push(text);
    this.#listener.end();
    return this.#rewriter === undefined ? text : this.#rewriter.whole(text);
  }
}

/** Length of the longest tail of `bytes` (from `start` on) that is a proper beginning of the needle. */
function heldLength(bytes: Uint8Array, start: number, needle: Uint8Array): number {
  const first = needle[0];
  if (first === undefined) return 0;
  const from = Math.max(start, bytes.length - needle.length + 1);
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    const length = bytes.length - at;
    let index = 1;
    while (index < length && bytes[at + index] === needle[index]) index += 1;
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
