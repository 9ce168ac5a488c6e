import { type MountOptions, toMountUrl } from "./mount.ts";

/** What a real-time connection can be told (fal-js 1.10.1, `realtime.connect`). */
export interface RealtimeUrlOptions extends MountOptions {
  /** In place of `/realtime`. */
  readonly path?: string;
  /** How many inputs wait at most while one is worked on, 1 to 60; the oldest are dropped. */
  readonly maxBuffering?: number;
}

/**
 * The `ws:` or `wss:` URL of an endpoint's real-time door behind the proxy, for a `WebSocket` of your own. It holds no key and no token:
 * the session's cookie goes with the handshake, and the proxy adds the key on the way to fal.ai.
 *
 * Throws a TypeError for what is no endpoint id, and for a `maxBuffering` out of range.
 * @example
 * const socket = new WebSocket(realtimeUrl("fal-ai/fast-lcm-diffusion", { proxyUrl: "/api/fal/proxy" }));
 */
export function realtimeUrl(endpoint: string, options: RealtimeUrlOptions): string {
  const { proxyUrl, path, maxBuffering } = options;
  if (maxBuffering !== undefined && !(Number.isInteger(maxBuffering) && maxBuffering >= 1 && maxBuffering <= 60)) {
    throw new TypeError(`maxBuffering must be a whole number from 1 to 60, not ${maxBuffering}.`);
  }
  const query = maxBuffering === undefined ? "" : `?max_buffering=${maxBuffering}`;
  return `${toSocketOrigin(toMountUrl(proxyUrl))}/fal.run/${toRealtimeEndpoint(endpoint, path)}${query}`;
}

/** The same URL for a WebSocket. */
function toSocketOrigin(url: string): string {
  return url.replace(/^http/, "ws");
}

const segments = /^(?!.*(?:^|\/)\.{1,2}(?:\/|$))[A-Za-z0-9._~-]+(?:\/[A-Za-z0-9._~-]+)+$/;

/** The endpoint with its real-time path, as fal-js 1.10.1 makes it: `/realtime` unless it is there or another path is wanted. */
function toRealtimeEndpoint(endpoint: string, path: string | undefined): string {
  const id = endpoint.replace(/^(\d+)-([A-Za-z0-9-]+)$/, "$1/$2");
  const suffix = path ? `/${path.replace(/^\/+/, "")}` : id.endsWith("/realtime") ? "" : "/realtime";
  if (!segments.test(id)) {
    throw new TypeError(`"${endpoint}" is not an endpoint: write owner/alias, such as "fal-ai/fast-lcm-diffusion".`);
  }
  if (!segments.test(id + suffix))
    throw new TypeError(`path must be of plain segments such as "/realtime", not "${path}".`);
  return id + suffix;
}
