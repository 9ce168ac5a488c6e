import { hash } from "node:crypto";

const blockLength = 64;
const digestLength = 32;

/** A secret's two blocks (RFC 2104, section 2), each with room for what is hashed after it. */
interface Blocks {
  inner: Buffer;
  readonly outer: Buffer;
}

const mostSecrets = 16;
const blocksOf = new Map<string, Blocks>();

/**
 * HMAC-SHA-256 by two hashes in one call each: an HMAC object of Node's costs more to make than both, and so does a Buffer for what
 * lies between them.
 */
export function hmacSha256(secret: string, text: string): string {
  const blocks = blocksOf.get(secret) ?? remember(secret);
  const most = blockLength + 3 * text.length;
  if (blocks.inner.length < most) blocks.inner = Buffer.concat([blocks.inner.subarray(0, blockLength)], 2 * most);
  const length = blockLength + blocks.inner.write(text, blockLength);
  blocks.outer.write(hash("sha256", blocks.inner.subarray(0, length), "binary"), blockLength, "binary");
  return hash("sha256", blocks.outer, "base64url");
}

function remember(secret: string): Blocks {
  const given = Buffer.from(secret);
  const key = given.length > blockLength ? hash("sha256", given, "buffer") : given;
  const blocks = { inner: pad(key, 0x36, 512), outer: pad(key, 0x5c, digestLength) };
  if (blocksOf.size >= mostSecrets) blocksOf.clear();
  blocksOf.set(secret, blocks);
  return blocks;
}

function pad(key: Uint8Array, filler: number, room: number): Buffer {
  const block = Buffer.alloc(blockLength + room);
  for (let at = 0; at < blockLength; at += 1) block[at] = (key[at] ?? 0) ^ filler;
  return block;
}
