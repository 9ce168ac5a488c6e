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

/** A class for the reason that is given at `Admitted` of the core. */
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

  constructor(status: number, raw: readonly (string | Buffer)[]) {
    this.status = status;
    this.headers = toHeaderList(raw);
  }
}

/** Pairs from a flat raw list, as Node and undici give them. */
export function toHeaderList(raw: readonly (string | Buffer)[]): HeaderList {
  const list = none.slice();
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const header = blank.slice() as [string, string];
    header[0] = lowerCase(latin1(raw[index]));
    header[1] = latin1(raw[index + 1]);
    list.push(header);
  }
  return list;
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

/** Names recur, so each is kept once: every open stream and socket holds its request's headers. */
const lowered = new Map<string, string>();
const mostNames = 1000;

function lowerCase(name: string): string {
  const known = lowered.get(name);
  if (known !== undefined) return known;
  const lower = name.toLowerCase();
  if (lowered.size < mostNames && name.length < 64) lowered.set(name, lower);
  return lower;
}

function latin1(value: string | Buffer | undefined): string {
  return typeof value === "string" ? value : (value?.toString("latin1") ?? "");
}
