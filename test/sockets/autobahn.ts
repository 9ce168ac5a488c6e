import { type FrameParts, chop, closing, frame } from "./raw-frames.ts";

/** What the Autobahn test suite asks of a server, by its own case numbers (groups 1 to 7 and 9), written anew. */
export interface Case {
  readonly id: string;
  readonly pieces: readonly Buffer[];
  /** The close code that ends it; null for a close frame without one. */
  readonly ends: number | null;
  /** Messages that come back. */
  readonly echoes?: number;
  /** Pongs that come back. */
  readonly pongs?: number;
}

const bye = frame({ opcode: 8, payload: closing(1000) });
const text = (payload: string | Buffer, more: FrameParts = {}): Buffer => frame({ payload, ...more });
const ping = (payload = "", more: FrameParts = {}): Buffer => frame({ opcode: 9, payload, ...more });
const more = (payload: string | Buffer, fin: boolean): Buffer => frame({ opcode: 0, payload, fin });

function good(id: string, echoes: number, pongs: number, pieces: readonly Buffer[]): Case {
  return { id, echoes, pongs, ends: 1000, pieces: [...pieces, bye] };
}

function bad(id: string, ends: number, pieces: readonly Buffer[], echoes = 0): Case {
  return { id, echoes, ends, pieces };
}

function lengths(): Case[] {
  const sizes = [0, 125, 126, 127, 128, 65_535, 65_536];
  return [1, 2].flatMap((opcode) => [
    ...sizes.map((size, index) =>
      good(`1.${opcode}.${index + 1}`, 1, 0, [frame({ opcode, payload: Buffer.alloc(size, "*") })]),
    ),
    good(`1.${opcode}.8`, 1, 0, chop(frame({ opcode, payload: Buffer.alloc(65_536, "*") }), 997)),
  ]);
}

function pings(): Case[] {
  const ten = Array.from({ length: 10 }, (_, index) => ping(`payload-${index}`));
  return [
    good("2.1", 0, 1, [ping()]),
    good("2.2", 0, 1, [ping("Hello, world!")]),
    good("2.3", 0, 1, [frame({ opcode: 9, payload: Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff]) })]),
    good("2.4", 0, 1, [ping("\xfe".repeat(62))]),
    bad("2.5", 1002, [ping("a".repeat(126))]),
    good("2.6", 0, 1, chop(ping("a".repeat(125)))),
    good("2.7", 0, 0, [frame({ opcode: 10 })]),
    good("2.8", 0, 0, [frame({ opcode: 10, payload: "unsolicited pong payload" })]),
    good("2.9", 0, 1, [frame({ opcode: 10, payload: "unsolicited pong payload" }), ping("ping payload")]),
    good("2.10", 0, 10, ten),
    good(
      "2.11",
      0,
      10,
      ten.flatMap((one) => chop(one)),
    ),
  ];
}

function reserved(): Case[] {
  const hello = text("Hello, world!");
  return [
    bad("3.1", 1002, [text("Hello, world!", { rsv: 1 })]),
    bad("3.2", 1002, [hello, text("Hello, world!", { rsv: 2 }), ping()], 1),
    bad("3.3", 1002, [Buffer.concat([hello, text("Hello, world!", { rsv: 3 }), ping()])], 1),
    bad("3.4", 1002, chop(Buffer.concat([hello, text("Hello, world!", { rsv: 4 }), ping()])), 1),
    bad("3.5", 1002, [frame({ opcode: 2, rsv: 5, payload: Buffer.alloc(8, 0xff) })]),
    bad("3.6", 1002, [ping("Hello, world!", { rsv: 6 })]),
    bad("3.7", 1002, [frame({ opcode: 8, rsv: 7, payload: closing(1000) })]),
  ];
}

function opcodes(): Case[] {
  return [3, 11].flatMap((from, group) =>
    Array.from({ length: 5 }, (_, index) => {
      const odd = frame({ opcode: from + index, payload: index % 2 === 0 ? "" : "reserved opcode payload" });
      const before = index < 2 ? [] : [text("Hello, world!")];
      const pieces = index === 4 ? chop(Buffer.concat([...before, odd, ping()])) : [...before, odd, ping()];
      return bad(`4.${group + 1}.${index + 1}`, 1002, pieces, before.length);
    }),
  );
}

function fragments(): Case[] {
  const parts = [text("fragment1", { fin: false }), more("fragment2", true)];
  const all = Buffer.concat(parts);
  const [one = all, two = all] = parts;
  const long = [text("fragment1", { fin: false }), more("fragment2", false), ping("ping1"), more("fragment3", false)];
  const rest = [more("fragment4", false), ping("ping2"), more("fragment5", true)];
  const stray = more("non-continuation payload", true);
  return [
    bad("5.1", 1002, [ping("fragment1", { fin: false }), more("fragment2", true)]),
    bad("5.2", 1002, [frame({ opcode: 10, fin: false, payload: "fragment1" }), more("fragment2", true)]),
    good("5.3", 1, 0, parts),
    good("5.4", 1, 0, [all]),
    good("5.5", 1, 0, chop(all)),
    good("5.6", 1, 1, [one, ping("ping payload"), two]),
    good("5.7", 1, 1, [Buffer.concat([one, ping("ping payload"), two])]),
    good("5.8", 1, 1, chop(Buffer.concat([one, ping("ping payload"), two]))),
    bad("5.9", 1002, [stray, text("Hello, world!")]),
    bad("5.10", 1002, [Buffer.concat([stray, text("Hello, world!")])]),
    bad("5.11", 1002, chop(Buffer.concat([stray, text("Hello, world!")]))),
    bad("5.12", 1002, [more("non-continuation payload", false), text("Hello, world!")]),
    bad("5.13", 1002, [Buffer.concat([more("non-continuation payload", false), text("Hello, world!")])]),
    bad("5.14", 1002, chop(Buffer.concat([more("non-continuation payload", false), text("Hello, world!")]))),
    bad("5.15", 1002, [Buffer.concat([all, more("fragment3", false), text("fragment4")])], 1),
    bad("5.16", 1002, [more("fragment1", false), text("fragment2", { fin: false }), more("fragment3", true)]),
    bad("5.17", 1002, [more("fragment1", true), text("fragment2", { fin: false }), more("fragment3", true)]),
    bad("5.18", 1002, [one, text("fragment2")]),
    good("5.19", 1, 2, [...long, ...rest]),
    good(
      "5.20",
      1,
      2,
      [...long, ...rest].flatMap((piece) => chop(piece)),
    ),
  ];
}

const kosme = Buffer.from("κόσμε");
const valid = [
  "",
  "Hello-µ@ßöäüàá-UTF-8!!",
  "κόσμε",
  "\u0000",
  "\u0080",
  "\u0800",
  "\u{10000}",
  "\u007f",
  "\u07ff",
  "\uffff",
  "\ud7ff",
  "\ue000",
  "\ufffd",
  "\u{10ffff}",
  "\ufdd0\ufffe\u{1fffe}",
];
/** Lone and missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF (RFC 3629). */
const invalid = [
  "80",
  "bf",
  "80bf80",
  "c2",
  "e0a0",
  "f09080",
  "cebae1bdb9cf83cebcceb5eda080656469746564",
  "f88880808080",
  "fc8480808080",
  "fe",
  "ff",
  "fefeffff",
  "c0af",
  "e080af",
  "f08080af",
  "c1bf",
  "e09fbf",
  "f08fbfbf",
  "eda080",
  "edbfbf",
  "eda080edb080",
  "f4908080",
  "f5808080",
  "c3280a",
  "e228a1",
  "f0288cbc",
];

function utf8(): Case[] {
  const broken = Buffer.from("cebae1bdb9cf83cebcceb5f4908080656469746564", "hex");
  return [
    ...valid.map((payload, index) => good(`6.1.${index + 1}`, 1, 0, [text(payload)])),
    ...valid.map((payload, index) => {
      const [first = Buffer.alloc(0), ...others] = chop(Buffer.from(payload));
      return good(`6.2.${index + 1}`, 1, 0, [
        text(first, { fin: false }),
        ...others.map((one) => more(one, false)),
        more("", true),
      ]);
    }),
    ...invalid.map((hex, index) => bad(`6.3.${index + 1}`, 1007, [text(Buffer.from(hex, "hex"))])),
    ...Array.from({ length: broken.length - 1 }, (_, at) =>
      bad(`6.4.${at + 1}`, 1007, [
        text(broken.subarray(0, at + 1), { fin: false }),
        more(broken.subarray(at + 1), true),
      ]),
    ),
    ...Array.from({ length: kosme.length - 1 }, (_, at) =>
      good(`6.5.${at + 1}`, 1, 0, [
        text(kosme.subarray(0, at + 1), { fin: false }),
        more(kosme.subarray(at + 1), true),
      ]),
    ),
  ];
}

function closes(): Case[] {
  const close = (payload: Buffer | string): Buffer => frame({ opcode: 8, payload });
  const codes = (group: string, ends: (code: number) => number, list: readonly number[]): Case[] =>
    list.map((code, index) => bad(`${group}.${index + 1}`, ends(code), [close(closing(code))]));
  return [
    good("7.1.1", 1, 0, [text("Hello World!")]),
    bad("7.1.2", 1000, [bye, bye]),
    bad("7.1.3", 1000, [bye, ping()]),
    bad("7.1.4", 1000, [bye, text("Hello World!")]),
    bad("7.1.5", 1000, [text("fragment1", { fin: false }), bye, more("fragment2", true)]),
    good("7.1.6", 2, 0, [text(Buffer.alloc(256 * 1024, "B")), text("Hello World!")]),
    { id: "7.3.1", ends: null, pieces: [close("")] },
    bad("7.3.2", 1002, [close("a")]),
    bad("7.3.3", 1000, [close(closing(1000))]),
    bad("7.3.4", 1000, [close(closing(1000, "Hello World!"))]),
    bad("7.3.5", 1000, [close(closing(1000, "*".repeat(123)))]),
    bad("7.3.6", 1002, [close(closing(1000, "*".repeat(124)))]),
    bad("7.5.1", 1007, [close(closing(1000, Buffer.from("cebae1bdb9cf83cebcceb5eda080656469746564", "hex")))]),
    ...codes("7.7", (code) => code, [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]),
    ...codes("7.9", () => 1002, [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999]),
    ...codes("7.13", () => 1002, [5000, 65_535]),
  ];
}

function sizes(): Case[] {
  const kilo = 1024;
  const mega = 1024 * kilo;
  return [1, 2].flatMap((opcode) => {
    const whole = (size: number): Buffer => frame({ opcode, payload: Buffer.alloc(size, "*") });
    const group = (base: number): number => base + opcode - 1;
    return [
      ...[64 * kilo, 256 * kilo, mega, 4 * mega, 8 * mega, 16 * mega].map((size, index) =>
        good(`9.${group(1)}.${index + 1}`, 1, 0, [whole(size)]),
      ),
      ...[64, 256, kilo, 4 * kilo, 16 * kilo, 64 * kilo, 256 * kilo, mega, 4 * mega].map((size, index) =>
        good(`9.${group(3)}.${index + 1}`, 1, 0, [fragmented(opcode, 4 * mega, size)]),
      ),
      ...[64, 128, 256, 512, kilo, 2 * kilo].map((size, index) =>
        good(`9.${group(5)}.${index + 1}`, 1, 0, chop(whole(mega), size)),
      ),
      ...[0, 16, 64, 256, kilo, 4 * kilo].map((size, index) =>
        good(`9.${group(7)}.${index + 1}`, 1000, 0, [Buffer.concat(Array.from({ length: 1000 }, () => whole(size)))]),
      ),
    ];
  });
}

function fragmented(opcode: number, total: number, size: number): Buffer {
  const payload = Buffer.alloc(size, "*");
  const last = total / size - 1;
  const middle = frame({ opcode: 0, payload, fin: false });
  return Buffer.concat(
    Array.from({ length: last + 1 }, (_, index) => {
      if (index > 0 && index < last) return middle;
      return frame({ opcode: index === 0 ? opcode : 0, payload, fin: index === last });
    }),
  );
}

/** Made one group at a time: the last one is large. */
export const groups: readonly (readonly [name: string, cases: () => Case[]])[] = [
  ["1 framing", lengths],
  ["2 pings and pongs", pings],
  ["3 reserved bits", reserved],
  ["4 opcodes", opcodes],
  ["5 fragmentation", fragments],
  ["6 UTF-8", utf8],
  ["7 closing", closes],
  ["9 limits", sizes],
];
