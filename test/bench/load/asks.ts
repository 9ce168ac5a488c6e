import type { Peer } from "../peers.ts";

/** What a browser sends beside what the call needs. */
const browser =
  "host: bench.example\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36\r\n" +
  'accept: application/json\r\naccept-language: en-GB,en;q=0.9\r\naccept-encoding: identity\r\nsec-ch-ua: "Chromium";v="153"\r\nsec-ch-ua-mobile: ?0\r\n' +
  'sec-ch-ua-platform: "Linux"\r\nsec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\nreferer: http://bench.example/\r\n';

/** The head of one call, as a browser's `fetch` sends it; a target is `<fal host>/<path>`. */
export function toHead(peer: Peer, method: "GET" | "POST", target: string, length?: number): string {
  const path = peer.form === "header" ? "/api/fal/proxy" : `${peer.prefix}/${target}`;
  const named = peer.form === "header" ? `x-fal-target-url: https://${target}\r\n` : "";
  const body =
    length === undefined
      ? ""
      : `origin: http://bench.example\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n`;
  // Where the load calls upstream itself, it brings the key.
  const key = peer.name === "no proxy" ? "authorization: Key bench:0123456789abcdef\r\n" : "";
  return `${method} ${path} HTTP/1.1\r\n${browser}cookie: theme=dark; session=ada\r\n${key}${named}${body}\r\n`;
}

/** A WebSocket handshake in path form. */
export function toHandshake(peer: Peer, target: string): string {
  const key = peer.name === "no proxy" ? "authorization: Key bench:0123456789abcdef\r\n" : "";
  return (
    `GET ${peer.prefix}/${target} HTTP/1.1\r\n${browser}${key}cookie: session=ada\r\norigin: http://bench.example\r\n` +
    "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
  );
}
