import { createHash, randomBytes } from "node:crypto";

/** Bodies that a parser, a text conversion or a second reading would change. */
export const oddBodies: readonly (readonly [name: string, body: Buffer])[] = [
  ["a big integer", Buffer.from('{"seed":9007199254740993,"id":123456789012345678901234567890}')],
  ["numbers with their spelling", Buffer.from('{"a":1.0,"b":1e2,"c":-0.0,"d":0.10}')],
  ["a key twice", Buffer.from('{"a":1,"a":2}')],
  ["white space and escapes", Buffer.from('\t{ "a" : "\\u00e9\\/\\ud83d\\ude00" }\r\n')],
  ["__proto__", Buffer.from('{"__proto__":{"admin":true},"constructor":1}')],
  ["a byte order mark", Buffer.from("\uFEFF{}")],
  ["all 256 bytes", Buffer.from(Uint8Array.from({ length: 256 }, (_, index) => index))],
  ["invalid UTF-8", Buffer.from([0x22, 0xc3, 0x28, 0xff, 0xfe, 0xed, 0xa0, 0x80, 0x22])],
  ["what is not JSON", Buffer.from("<html>&amp;</html>")],
  ["nothing", Buffer.alloc(0)],
  ["one byte", Buffer.from("0")],
];

/** Bytes that nothing compresses. */
export function noise(length: number): Buffer {
  return randomBytes(length);
}

export function* inPieces(bytes: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

export function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
