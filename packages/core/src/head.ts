/** One header line. Names are lower-case; a header sent twice stands here twice. */
export type Header = readonly [name: string, value: string];
export type HeaderList = readonly Header[];

/** What a transport knows of a caller's request before its body. */
export interface Head {
  /** As sent, in upper case for the standard methods. */
  readonly method: string;
  /** The whole path as sent, mount included, without the query. */
  readonly path: string;
  /** The raw query without `?`, or null when there is none. */
  readonly query: string | null;
  /** Where the proxy is mounted, when the transport knows it exactly (Express does); `""` is the root. */
  readonly mount: string | undefined;
  readonly headers: HeaderList;
  /** The peer of the socket, when the transport knows it. */
  readonly address: string | undefined;
  /** Whether the request came in over TLS, as far as this process can see. */
  readonly secure: boolean;
  /** True for a WebSocket handshake (RFC 6455, section 4). */
  readonly upgrade: boolean;
}

/** The value of a header that may occur once, or undefined. Reads the first line; use {@link countOf} to refuse repeats. */
export function valueOf(headers: HeaderList, name: string): string | undefined {
  for (const header of headers) if (header[0] === name) return header[1];
  return undefined;
}

export function countOf(headers: HeaderList, name: string): number {
  let count = 0;
  for (const header of headers) if (header[0] === name) count += 1;
  return count;
}

/** True when a list-valued header such as `Connection` names the token (RFC 9110, section 5.6.1). */
export function listsToken(headers: HeaderList, name: string, token: string): boolean {
  for (const [key, value] of headers) {
    if (key === name && value.split(",").some((item) => item.trim().toLowerCase() === token)) return true;
  }
  return false;
}

/** Whether the caller announced a body (RFC 9112, section 6). */
export function announcesBody(headers: HeaderList): boolean {
  const length = valueOf(headers, "content-length");
  return (length !== undefined && length !== "0") || valueOf(headers, "transfer-encoding") !== undefined;
}

/** One cookie's value by name, percent-decoded when it can be (RFC 6265, section 4.2). */
export function cookieOf(headers: HeaderList, name: string): string | undefined {
  for (const [key, value] of headers) {
    if (key !== "cookie") continue;
    for (let start = 0, end = 0; start < value.length; start = end + 1) {
      const semicolon = value.indexOf(";", start);
      end = semicolon < 0 ? value.length : semicolon;
      const at = value.indexOf("=", start);
      if (at > start && at < end && value.slice(start, at).trim() === name)
        return decodeCookie(value.slice(at + 1, end).trim());
    }
  }
  return undefined;
}

function decodeCookie(raw: string): string {
  const value = raw.startsWith('"') && raw.endsWith('"') && raw.length > 1 ? raw.slice(1, -1) : raw;
  if (!value.includes("%")) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
}
