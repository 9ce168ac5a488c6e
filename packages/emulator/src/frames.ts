import { decode, encode } from "@msgpack/msgpack";

/** A WebSocket message: MessagePack in a binary one (fal-js), JSON in a text one (Swift). */
export interface Frame {
  readonly binary: boolean;
  readonly data: Uint8Array;
}

/** Throws on what is neither. Bytes within come out as plain Uint8Arrays, not as Buffers. */
export function decodeFrame({ binary, data }: Frame): unknown {
  return binary
    ? decode(new Uint8Array(data.buffer, data.byteOffset, data.length))
    : JSON.parse(Buffer.from(data).toString("utf8"));
}

export function encodeFrame(value: unknown, binary: boolean): Uint8Array | string {
  return binary ? encode(value) : (JSON.stringify(value) ?? "null");
}
