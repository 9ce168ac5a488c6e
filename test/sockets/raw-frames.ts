/** WebSocket frames by hand, lawful or not (RFC 6455, section 5.2). */
export interface FrameParts {
  readonly opcode?: number;
  readonly payload?: Buffer | string;
  readonly fin?: boolean;
  /** RSV1 is 4, RSV2 is 2, RSV3 is 1. */
  readonly rsv?: number;
  readonly masked?: boolean;
  /** What the header says in place of the payload's own length. */
  readonly announced?: bigint;
}

const mask = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** A client's frame: masked unless it says otherwise. */
export function frame(parts: FrameParts = {}): Buffer {
  const { opcode = 1, fin = true, rsv = 0, masked = true } = parts;
  const payload = Buffer.from(parts.payload ?? "");
  const length = parts.announced ?? BigInt(payload.length);
  const short = length < 126n ? Number(length) : length < 65_536n ? 126 : 127;
  const extended = Buffer.alloc(short === 126 ? 2 : short === 127 ? 8 : 0);
  if (short === 126) extended.writeUInt16BE(Number(length));
  if (short === 127) extended.writeBigUInt64BE(length);
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const head = Buffer.concat([Buffer.from([first, (masked ? 0x80 : 0) | short]), extended]);
  return masked ? Buffer.concat([head, mask, xor(payload)]) : Buffer.concat([head, payload]);
}

function xor(payload: Buffer): Buffer {
  const bytes = Buffer.alloc(payload.length);
  for (let index = 0; index < bytes.length; index += 1) bytes[index] = (payload[index] ?? 0) ^ (mask[index % 4] ?? 0);
  return bytes;
}

/** The payload of a close frame. */
export function closing(code: number, reason: string | Buffer = ""): Buffer {
  const payload = Buffer.alloc(2);
  payload.writeUInt16BE(code);
  return Buffer.concat([payload, Buffer.from(reason)]);
}

/** Cut into pieces that are sent one by one. */
export function chop(bytes: Buffer, size = 1): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

export interface ServerFrame {
  readonly opcode: number;
  readonly fin: boolean;
  readonly payload: Buffer;
}

/** Whole frames of a server, which masks nothing. */
export function readFrames(bytes: Buffer): ServerFrame[] {
  const frames: ServerFrame[] = [];
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first = 0, second = 0] = bytes.subarray(at, at + 2);
    const extended = second === 126 ? 2 : second === 127 ? 8 : 0;
    if (at + 2 + extended > bytes.length) break;
    const length =
      extended === 0 ? second : bytes.readUIntBE(at + 2 + (extended === 8 ? 2 : 0), extended === 8 ? 6 : 2);
    const start = at + 2 + extended;
    if (start + length > bytes.length) break;
    frames.push({ opcode: first & 15, fin: first >= 128, payload: bytes.subarray(start, start + length) });
    at = start + length;
  }
  return frames;
}
