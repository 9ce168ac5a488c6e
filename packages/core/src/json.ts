import { ProxyError } from "./errors.ts";

/**
 * How numbers were spelled that JavaScript would spell differently, such as integers beyond 2^53: by property name, in the shape of
 * the value. What was spelled as usual is not in it.
 */
export type Spellings = ReadonlyMap<string, string | Spellings>;

/** JSON read together with its unusual spellings. */
export interface Parsed {
  readonly value: unknown;
  readonly spellings: Spellings;
}

/** ECMAScript 2026, JSON.parse source text access; Node has it since 22, its types not yet. */
interface SourceTextJson {
  parse(
    text: string,
    reviver: (this: object, key: string, value: unknown, context?: { source?: string }) => unknown,
  ): unknown;
  rawJSON?(text: string): unknown;
}

const sourceTextJson: SourceTextJson = JSON;

/** Parses UTF-8 JSON strictly; throws `invalid_json`. */
export function parseJson(bytes: Uint8Array): Parsed {
  const marked = new Map<unknown, Map<string, string | Spellings>>();
  let spellings: Spellings = new Map();
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    // A reviver sees children before their parents, and the whole last.
    const value = sourceTextJson.parse(text, function (key, item, context) {
      const own = typeof item === "number" ? unusual(item, context?.source) : marked.get(item);
      spellings = new Map();
      if (own === undefined) return item;
      const siblings = marked.get(this) ?? new Map<string, string | Spellings>();
      marked.set(this, siblings.set(key, own));
      spellings = siblings;
      return item;
    });
    return { value, spellings };
  } catch (cause) {
    throw new ProxyError("invalid_json", { cause });
  }
}

/** Writes a value; a number that still is what was read at its place keeps the spelling it had. Throws what JSON cannot hold. */
export function writeJson(value: unknown, spellings: Spellings): Uint8Array {
  const known = new Map<unknown, Spellings>();
  let root = true;
  const text: string | undefined = JSON.stringify(value, function (this: object, key: string, item: unknown) {
    const own = (root ? spellings : known.get(this))?.get(key);
    root = false;
    if (own === undefined) return item;
    if (typeof own !== "string") known.set(item, own);
    else if (typeof item === "number" && Number(own) === item) return sourceTextJson.rawJSON?.(own) ?? item;
    return item;
  });
  if (text === undefined) throw new TypeError(`${typeof value} is not JSON`);
  return new TextEncoder().encode(text);
}

function unusual(item: number, source: string | undefined): string | undefined {
  return source === undefined || source === String(item) ? undefined : source;
}
