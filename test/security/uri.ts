/** A URI in its parts (RFC 3986, appendix A), read a character at a time: a second opinion beside the WHATWG parser. */
export interface Uri {
  readonly scheme: string;
  readonly userinfo: string | undefined;
  readonly host: string;
  readonly port: string | undefined;
  readonly path: string;
  readonly query: string | undefined;
  readonly fragment: string | undefined;
}

const unreserved = /^[A-Za-z0-9._~-]$/;
const subDelims = "!$&'()*+,;=";

/** Reads an absolute URI with an authority; undefined when it is none. */
export function parseUri(text: string): Uri | undefined {
  const colon = text.indexOf(":");
  const scheme = text.slice(0, Math.max(0, colon));
  if (!/^[A-Za-z][A-Za-z0-9+.-]*$/.test(scheme) || !text.startsWith("//", colon + 1)) return undefined;
  const start = colon + 3;
  const end = firstOf(text, "/?#", start);
  const pathEnd = firstOf(text, "?#", end);
  const mark = text[pathEnd] === "?" ? firstOf(text, "#", pathEnd) : pathEnd;
  const authority = readAuthority(text.slice(start, end));
  const path = text.slice(end, pathEnd);
  const query = text[pathEnd] === "?" ? text.slice(pathEnd + 1, mark) : undefined;
  const fragment = text[mark] === "#" ? text.slice(mark + 1) : undefined;
  if (
    authority === undefined ||
    !consistsOf(path, ":@/") ||
    !consistsOf(query ?? "", ":@/?") ||
    !consistsOf(fragment ?? "", ":@/?")
  )
    return undefined;
  return { scheme, ...authority, path, query, fragment };
}

function readAuthority(authority: string): Pick<Uri, "userinfo" | "host" | "port"> | undefined {
  const at = authority.lastIndexOf("@");
  const userinfo = at < 0 ? undefined : authority.slice(0, at);
  const rest = authority.slice(at + 1);
  const colon = rest.startsWith("[") ? rest.indexOf(":", rest.indexOf("]")) : rest.indexOf(":");
  const host = colon < 0 ? rest : rest.slice(0, colon);
  const port = colon < 0 ? undefined : rest.slice(colon + 1);
  const valid =
    consistsOf(userinfo ?? "", ":") && /^\d*$/.test(port ?? "") && (host.startsWith("[") || consistsOf(host, ""));
  return valid ? { userinfo, host, port } : undefined;
}

function firstOf(text: string, stops: string, from: number): number {
  let at = from;
  while (at < text.length && !stops.includes(text[at] ?? "")) at += 1;
  return at;
}

/** Unreserved, sub-delims, percent-encodings, and what else may stand in this part. */
function consistsOf(text: string, more: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at] ?? "";
    if (letter === "%") {
      if (!/^[0-9A-Fa-f]{2}$/.test(text.slice(at + 1, at + 3))) return false;
      at += 2;
    } else if (!unreserved.test(letter) && !subDelims.includes(letter) && !more.includes(letter)) return false;
  }
  return true;
}
