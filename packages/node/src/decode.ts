import type { Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import type { HeaderList } from "@keyway/core";

/** Content codings that Node can undo (RFC 9110, section 8.4.1). */
const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/**
 * What undoes the coding of an answer, or undefined when there is none to undo. The web transport asks for none; an answer that has
 * one all the same is decoded, as fetch does, because some hosts drop the header that names it.
 */
export function findDecoder(headers: HeaderList): (() => Transform) | undefined {
  const coding =
    headers
      .find(([name]) => name === "content-encoding")?.[1]
      .trim()
      .toLowerCase() ?? "";
  return Object.hasOwn(decoders, coding) ? decoders[coding] : undefined;
}

/** Without what described the coded bytes. */
export function decodedHeaders(headers: HeaderList): HeaderList {
  return headers.filter(([name]) => name !== "content-encoding" && name !== "content-length");
}
