import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseJson, writeJson } from "./json.ts";

const encoder = new TextEncoder();

function read(text: string): ReturnType<typeof parseJson> {
  return parseJson(encoder.encode(text));
}

function roundTrip(text: string): string {
  const { value, spellings } = read(text);
  return new TextDecoder().decode(writeJson(value, spellings));
}

it.each([
  "0",
  "-0",
  "1.0",
  "1e2",
  "1E+2",
  "12345678901234567890",
  "1e400",
  "0.1000",
  '"1.0"',
  "null",
  '{"seed":9007199254740993}',
  '{"a":{"b":[1.0,{"c":2.50}]},"d":1.0}',
  "[[1.0],[2.0],3]",
  '{"":1.0}',
  '{"":{"":1.0}}',
  '{"__proto__":{"x":1.0},"constructor":1.0}',
  '{"a\\u0000b":1.0,"a":{"b":2.0}}',
  '{"2":1.0,"10":2.0}',
])("%s keeps its spelling", (text) => {
  expect(JSON.parse(roundTrip(text))).toEqual(JSON.parse(text));
  expect(roundTrip(text)).toBe(text);
});

it("a repeated name counts as JSON.parse reads it, and is written once", () => {
  expect(roundTrip('{"a":1.0,"a":2.50}')).toBe('{"a":2.50}');
  expect(roundTrip('{"a":1.0,"a":2}')).toBe('{"a":2}');
  expect(roundTrip('{"a":{"b":1.0},"a":{"c":2}}')).toBe('{"a":{"c":2}}');
});

it.each(["", " ", "{", "{'a':1}", "[1,]", "NaN", "01", "{}{}", "undefined", "\uFEFF{}", '"\u0001"'])(
  "%j is refused",
  (text) => {
    expect(() => read(text)).toThrow(expect.objectContaining({ code: "invalid_json", status: 400 }));
  },
);

it("what is not UTF-8 is refused", () => {
  for (const bytes of [
    [0x22, 0xff, 0x22],
    [0x22, 0xc3, 0x22],
    [0xff, 0xfe, 0x7b, 0x00],
  ]) {
    expect(() => parseJson(new Uint8Array(bytes))).toThrow(expect.objectContaining({ code: "invalid_json" }));
  }
});

describe("a changed value", () => {
  it("is written as it is, its unchanged parts as they were", () => {
    const { spellings } = read('{"seed":9007199254740993,"scale":1.0,"list":[1.0,2.0]}');
    const value = { scale: 2, seed: 9007199254740992, list: [1, 3], more: 1 };
    expect(new TextDecoder().decode(writeJson(value, spellings))).toBe(
      '{"scale":2,"seed":9007199254740993,"list":[1.0,3],"more":1}',
    );
  });
  it("may be something else altogether", () => {
    const { spellings } = read('{"a":{"b":1.0},"c":1.0}');
    for (const value of [5, null, "x", [], { a: 1, c: { b: 1 } }, { a: null }, { c: "1.0" }]) {
      expect(new TextDecoder().decode(writeJson(value, spellings))).toBe(JSON.stringify(value));
    }
  });
  it("that JSON cannot hold is an error", () => {
    const cyclic: unknown[] = [];
    cyclic.push(cyclic);
    for (const value of [undefined, () => 1, Symbol("x"), cyclic, 1n]) {
      expect(() => writeJson(value, new Map())).toThrow(TypeError);
    }
  });
});

describe("hostile bodies", () => {
  it("deep nesting is a clear refusal", () => {
    for (const [open, close] of [
      ["[", "]"],
      ['{"a":', "}"],
    ] as const) {
      const text = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
      expect(() => read(text)).toThrow(expect.objectContaining({ code: "invalid_json" }));
    }
  });
  it("long names at each depth cost no more than their length", () => {
    const before = process.cpuUsage();
    const depth = 1000;
    const text = `${`{"a":1.0,"${"k".repeat(980)}":`.repeat(depth)}1.0${"}".repeat(depth)}`;
    expect(roundTrip(text)).toBe(text);
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1000);
  });
  it("names of prototypes stay names", () => {
    const { value } = read('{"__proto__":{"polluted":true}}');
    expect(Object.hasOwn(Object(value), "__proto__")).toBe(true);
    expect(Object.prototype).not.toHaveProperty("polluted");
  });
});

describe("for any JSON", () => {
  const digits = fc.stringMatching(/^(?:0|[1-9]\d{0,24})(?:\.\d{1,5})?(?:[eE][+-]?\d{1,3})?$/);
  const number = fc.tuple(fc.boolean(), digits).map(([negative, text]) => (negative ? `-${text}` : text));
  const name = fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom("", "__proto__", "0", "a\u0000"));
  const { tree } = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      number,
      fc.constantFrom("null", "true"),
      fc.string().map((text) => JSON.stringify(text)),
      fc.array(tie("tree"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
      fc
        .uniqueArray(fc.tuple(name, tie("tree")), { maxLength: 3, selector: ([key]) => key })
        .map((pairs) => `{${pairs.map(([key, item]) => `${JSON.stringify(key)}:${item}`).join(",")}}`),
    ),
  }));
  it("writing what was read gives every number as it was spelled", () => {
    fc.assert(
      fc.property(tree, (text) => {
        const written = roundTrip(text);
        expect(numbersOf(written).sort()).toEqual(numbersOf(text).sort());
        expect(JSON.parse(written)).toEqual(JSON.parse(text));
        expect(roundTrip(written)).toBe(written);
      }),
      { numRuns: 1000 },
    );
  });
});

function numbersOf(text: string): string[] {
  return text.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""').match(/-?\d[\d.eE+-]*/g) ?? [];
}
