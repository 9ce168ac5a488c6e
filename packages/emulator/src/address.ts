import type { IncomingMessage } from "node:http";

/** fal's hosts that the emulator stands for (fal-js 1.10.1 and fal_client 1.0.1). */
export const hosts = [
  "fal.run",
  "queue.fal.run",
  "rest.fal.ai",
  "rest.alpha.fal.ai",
  "v3.fal.media",
  "v3b.fal.media",
] as const;

export type Host = (typeof hosts)[number];

/** Where a request is meant to go: by its Host header, or by a first path segment that names the host. */
export interface Address {
  /** Undefined when neither names one of fal's hosts: the emulator's own routes. */
  readonly host: Host | undefined;
  /** Decoded path segments after the host; a trailing slash leaves no empty segment. */
  readonly segments: readonly string[];
  /** The path after the host, as sent. */
  readonly path: string;
  readonly query: URLSearchParams;
}

export function addressOf(request: IncomingMessage): Address {
  const [path = "/", ...rest] = (request.url ?? "/").split("?");
  const query = new URLSearchParams(rest.join("?"));
  const named = toHost(request.headers.host?.toLowerCase().replace(/:\d+$/, ""));
  if (named !== undefined) return { host: named, segments: toSegments(path), path, query };
  const [, first = "", ...others] = path.split("/");
  const host = toHost(first);
  const inner = host === undefined ? path : `/${others.join("/")}`;
  return { host, segments: toSegments(inner), path: inner, query };
}

export function toHost(name: string | undefined): Host | undefined {
  return hosts.find((host) => host === name);
}

function toSegments(path: string): readonly string[] {
  const segments = path.split("/").slice(1).map(decode);
  return segments.at(-1) === "" ? segments.slice(0, -1) : segments;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
