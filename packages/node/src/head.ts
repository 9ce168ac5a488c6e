import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Head, Header, HeaderList, UpstreamHead } from "@keyway/core";

/** What Node knows of a request, read in one pass over the raw header lines. */
export function toHead(
  req: IncomingMessage & { originalUrl?: string },
  mount: string | undefined,
  upgrade: boolean,
  base = "",
): Head {
  return new RequestHead(req, mount, upgrade, base + (req.originalUrl ?? req.url ?? "/"));
}

/** A class for the reason that is given at `AdmittedCall` of the core. */
class RequestHead implements Head {
  readonly method: string;
  readonly path: string;
  readonly query: string | null;
  readonly mount: string | undefined;
  readonly headers: HeaderList;
  readonly address: string | undefined;
  readonly secure: boolean;
  readonly upgrade: boolean;

  constructor(req: IncomingMessage, mount: string | undefined, upgrade: boolean, url: string) {
    const mark = url.indexOf("?");
    this.method = req.method ?? "GET";
    this.path = mark < 0 ? url : url.slice(0, mark);
    this.query = mark < 0 ? null : url.slice(mark + 1);
    this.mount = mount;
    this.headers = toHeaderList(req.rawHeaders);
    this.address = req.socket.remoteAddress;
    this.secure = (req.socket as Partial<TLSSocket>).encrypted === true;
    this.upgrade = upgrade;
  }
}

/** The head of upstream's answer; a class for the same reason. */
export class ReceivedHead implements UpstreamHead {
  readonly status: number;
  readonly headers: HeaderList;

  constructor(status: number, headers: HeaderList) {
    this.status = status;
    this.headers = headers;
  }
}

/** Pairs from a flat raw list, as Node gives them. */
export function toHeaderList(raw: readonly string[]): HeaderList {
  const list = none.slice();
  for (let index = 0; index + 1 < raw.length; index += 2)
    list.push(toHeader(lowerCase(raw[index] ?? ""), raw[index + 1] ?? ""));
  return list;
}

/** Pairs from what undici has read of an answer's head: names in lower case, values in Latin-1. */
export function parsedHeaders(parsed: Readonly<Record<string, string | string[] | undefined>>): HeaderList {
  const list = none.slice();
  for (const name in parsed) {
    const value = parsed[name];
    if (typeof value === "string") list.push(toHeader(name, value));
    else for (const one of value ?? []) list.push(toHeader(name, one));
  }
  return list;
}

function toHeader(name: string, value: string): Header {
  const header = blank.slice() as [string, string];
  header[0] = name;
  header[1] = value;
  return header;
}

/** Copied in place of literals, for the reason given above: every call makes some thirty. */
const none: Header[] = [];
const blank: [name: string, value: string] = ["", ""];

/** As undici and Node take them; one name may be left out. */
export function toFlat(headers: HeaderList, without?: string): string[] {
  const flat: string[] = [];
  for (const [name, value] of headers) if (name !== without) flat.push(name, value);
  return flat;
}

/** To see that a name is in lower case costs less than to make it so. */
function lowerCase(name: string): string {
  for (let index = 0; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    if (code >= 0x41 && code <= 0x5a) return name.toLowerCase();
  }
  return name;
}
