import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { type Head, type HeaderList, ProxyError, countOf, listsToken, valueOf } from "@keyway/core";

/** What RFC 6455, section 4.2.1 asks of a client's handshake. */
export function handshakeProblem({ headers, method }: Head, req: IncomingMessage): ProxyError | undefined {
  if (method !== "GET") return new ProxyError("method_refused", { headers: [["allow", "GET"]] });
  const key = valueOf(headers, "sec-websocket-key");
  const valid =
    req.httpVersion === "1.1" &&
    valueOf(headers, "upgrade")?.toLowerCase() === "websocket" &&
    listsToken(headers, "connection", "upgrade") &&
    countOf(headers, "sec-websocket-key") === 1 &&
    key !== undefined &&
    /^[+/0-9A-Za-z]{22}==$/.test(key);
  if (!valid) return new ProxyError("not_websocket");
  if (valueOf(headers, "sec-websocket-version") !== "13")
    return new ProxyError("websocket_version", { headers: [["sec-websocket-version", "13"]] });
  return protocolsOf(headers) === undefined ? new ProxyError("not_websocket") : undefined;
}

/**
 * Whether an upgrade asks for a WebSocket, well or badly. Others, such as h2c, are to be ignored (RFC 9110, section 7.8): a server can be told
 * so by `shouldUpgradeCallback`, from Node 24.9 on.
 */
export function asksForSocket({ headers }: IncomingMessage): boolean {
  const names = headers.upgrade?.split(",") ?? [];
  return "sec-websocket-key" in headers || names.some((name) => name.trim().toLowerCase() === "websocket");
}

/** The offered subprotocols, or undefined when the list is malformed or repeats one (RFC 6455, section 4.1). */
function protocolsOf(headers: HeaderList): string[] | undefined {
  const line = headers.filter(([name]) => name === "sec-websocket-protocol").map(([, value]) => value);
  if (line.length === 0) return [];
  const names = line
    .join(",")
    .split(",")
    .map((name) => name.trim());
  const valid =
    names.every((name) => /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) && new Set(names).size === names.length;
  return valid ? names : undefined;
}

/** The caller's own key and version go on, so upstream's accept value fits; an extension is offered only where the option says so. */
export function handshakeHeaders(headers: HeaderList, head: Head, deflate: boolean): HeaderList {
  const crossing = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"];
  const own = head.headers.filter(([name]) => crossing.includes(name));
  if (deflate) own.push(...deflateOffers(head).map((offer) => ["sec-websocket-extensions", offer] as const));
  return [
    ["connection", "Upgrade"],
    ["upgrade", "websocket"],
    ...own,
    ...headers.filter(([name]) => name !== "accept-encoding"),
  ];
}

/** What the caller offered of permessage-deflate, by the grammar of RFC 7692, section 7.1; other extensions and malformed ones are left out. */
function deflateOffers({ headers }: Head): string[] {
  return headers
    .filter(([name]) => name === "sec-websocket-extensions")
    .flatMap(([, value]) => value.split(","))
    .map((offer) => offer.trim())
    .filter((offer) => /^permessage-deflate(?: *; *[a-z_]{1,40}(?:="?\d{1,2}"?)?){0,8}$/.test(offer));
}

/** Why upstream's 101 may not be passed on (RFC 6455, section 4.1), or undefined. */
export function answerProblem({ headers }: IncomingMessage, head: Head, deflate: boolean): string | undefined {
  const key = valueOf(head.headers, "sec-websocket-key") ?? "";
  const expected = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (headers["sec-websocket-accept"] !== expected) return "fal.ai's handshake has a wrong Sec-WebSocket-Accept";
  const extensions = headers["sec-websocket-extensions"];
  const agreed =
    deflate && deflateOffers(head).length > 0 && /^permessage-deflate *(?:;[^,]*)?$/.test(extensions ?? "");
  if (extensions !== undefined && !agreed) return "fal.ai chose a WebSocket extension that was not offered";
  const protocol = headers["sec-websocket-protocol"];
  if (protocol !== undefined && !(protocolsOf(head.headers) ?? []).includes(protocol))
    return "fal.ai chose a subprotocol that was not offered";
  return undefined;
}

/** The head of the 101 that opens the WebSocket for the caller, with a cookie of the app's. */
export function switchingProtocols({ headers }: IncomingMessage, ours: HeaderList): string {
  const { "sec-websocket-protocol": protocol, "sec-websocket-extensions": extensions } = headers;
  return [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${headers["sec-websocket-accept"]}`,
    ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
    ...(extensions === undefined ? [] : [`Sec-WebSocket-Extensions: ${extensions}`]),
    ...ours.filter(([name]) => name === "set-cookie").map(([, value]) => `Set-Cookie: ${value}`),
    "\r\n",
  ].join("\r\n");
}
