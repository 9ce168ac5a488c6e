import { createHash } from "node:crypto";

/** A file on the emulated CDN. */
export interface StoredFile {
  readonly bytes: Uint8Array;
  readonly contentType: string;
  /** Quoted, as it stands in the header. */
  readonly etag: string;
}

/** An upload that may come. Parts are kept by number until they are put together. */
export interface Upload {
  readonly contentType: string;
  /** What the upload URL must carry; undefined where the caller shows a token instead. */
  readonly signature: string | undefined;
  readonly parts: Map<number, StoredFile>;
}

/** Files by path, without a leading slash. */
export interface Files {
  /** Keeps bytes under a path that follows from them, and gives the path. */
  save(bytes: Uint8Array, contentType: string): string;
  put(path: string, bytes: Uint8Array, contentType: string): StoredFile;
  get(path: string): StoredFile | undefined;
  expect(path: string, upload: Omit<Upload, "parts">): void;
  upload(path: string): Upload | undefined;
  clear(): void;
}

/** Bytes kept in all; beyond it the oldest files go. */
const room = 1024 * 1024 * 1024;

/** Uploads waited for; beyond it the oldest are given up. */
const expected = 1000;

const extensions: Readonly<Record<string, string>> = {
  "image/png": "png",
  "image/jpeg": "jpeg",
  "application/json": "json",
  "text/plain": "txt",
};

export function createFiles(): Files {
  const files = new Map<string, StoredFile>();
  const uploads = new Map<string, Upload>();
  let size = 0;

  function remove(path: string): void {
    size -= files.get(path)?.bytes.length ?? 0;
    files.delete(path);
  }

  function put(path: string, bytes: Uint8Array, contentType: string): StoredFile {
    const file = toFile(bytes, contentType);
    remove(path);
    files.set(path, file);
    size += bytes.length;
    for (const oldest of files.keys()) {
      if (size <= room || oldest === path) break;
      remove(oldest);
    }
    return file;
  }

  return {
    put,
    save(bytes, contentType) {
      const digest = createHash("sha256").update(contentType).update(bytes).digest("hex");
      const path = `files/b/${digest.slice(0, 8)}/${digest.slice(8, 29)}.${extensions[contentType] ?? "bin"}`;
      put(path, bytes, contentType);
      return path;
    },
    get: (path) => files.get(path),
    expect(path, upload) {
      uploads.set(path, { ...upload, parts: new Map() });
      const [oldest] = uploads.keys();
      if (uploads.size > expected && oldest !== undefined) uploads.delete(oldest);
    },
    upload: (path) => uploads.get(path),
    clear() {
      files.clear();
      uploads.clear();
      size = 0;
    },
  };
}

export function toFile(bytes: Uint8Array, contentType: string): StoredFile {
  return { bytes, contentType, etag: `"${createHash("md5").update(bytes).digest("hex")}"` };
}
