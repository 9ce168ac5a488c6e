import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import type { Head, Header, HeaderList } from "@keyway/core";

/** What Node knows of a request, read in one pass over the raw header lines. */
export function toHead(
  req: IncomingMessage & { originalUrl?: string },
  mount: string | undefined,
  upgrade: boolean,
  base = "",
): Head {
  const url = base + (req.originalUrl ?? req.url ?? "/");
  const mark = url.indexOf("?");
  return {
    method: req.method ?? "GET",
    path: mark < 0 ? url : url.slice(0, mark),
    query: mark < 0 ? null : url.slice(mark + 1),
    mount,
    headers: toHeaderList(req.rawHeaders),
    address: req.socket.remoteAddress,
    secure: (req.socket as Partial<TLSSocket>).encrypted === true,
    upgrade,
  };
}

/** Pairs from a flat raw list, as Node and undici give them. */
export function toHeaderList(raw: readonly (string | Buffer)[]): HeaderList {
  const list: Header[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    list.push([lowerCase(latin1(raw[index])), latin1(raw[index + 1])]);
  }
  return list;
}

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
