import { ProxyError } from "./errors.ts";

/** JSON read together with the spelling of numbers that JavaScript cannot hold, such as integers beyond 2^53. */
export interface Parsed {
  readonly value: unknown;
  /** Spellings by place. */
  readonly spellings: ReadonlyMap<string, string>;
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
const separator = "\u0000";

/** Parses UTF-8 JSON strictly; throws `invalid_json`. */
export function parseJson(bytes: Uint8Array): Parsed {
  const marked = new Map<object, Map<string, string>>();
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value = sourceTextJson.parse(text, function (key, item, context) {
      if (typeof item === "number" && context?.source !== undefined && String(item) !== context.source) {
        marked.set(this, (marked.get(this) ?? new Map()).set(key, context.source));
      }
      return item;
    });
    const spellings = new Map<string, string>();
    if (marked.size > 0) placeSpellings(value, "", marked, spellings);
    return { value, spellings };
  } catch (cause) {
    throw new ProxyError("invalid_json", { cause });
  }
}

/** Writes a value; a number that still is what was read at its place keeps the spelling it had. */
export function writeJson(value: unknown, spellings: ReadonlyMap<string, string>): Uint8Array {
  const places = new Map<object, string>();
  const text = JSON.stringify(value, function (this: object, key: string, item: unknown) {
    const parent = places.get(this);
    const place = parent === undefined ? "" : parent + separator + key;
    if (typeof item === "object" && item !== null) places.set(item, place);
    const spelling = typeof item === "number" ? spellings.get(place) : undefined;
    return spelling !== undefined && Number(spelling) === item ? (sourceTextJson.rawJSON?.(spelling) ?? item) : item;
  });
  return new TextEncoder().encode(text);
}

function placeSpellings(
  value: unknown,
  place: string,
  marked: Map<object, Map<string, string>>,
  out: Map<string, string>,
): void {
  if (typeof value !== "object" || value === null) return;
  for (const [key, spelling] of marked.get(value) ?? []) out.set(place + separator + key, spelling);
  for (const [key, item] of Object.entries(value)) placeSpellings(item, place + separator + key, marked, out);
}
