import { ProxyError } from "./errors.ts";
import { type Head, countOf, valueOf } from "./head.ts";
import { type Target, isFalHost, parseTarget, parseTargetParts } from "./rules/target.ts";

/** How the caller named the target, and where the proxy is mounted. */
export interface Addressed {
  readonly form: "header" | "path";
  readonly mount: string;
  /** The target as it came: a whole URL in header form, `<fal host>/<path>?<query>` in path form. */
  readonly text: string;
}

/** A path below `<mount>/~keyway/`. */
export interface OwnRoute {
  readonly form: "own";
  readonly mount: string;
  readonly route: string;
}

/** Where mount and target part in a path, or undefined when the path names no fal host. */
interface Split {
  readonly mount: string;
  readonly first: string;
  readonly rest: string;
}

/**
 * Reads a target from the header form (`x-fal-target-url` on the mount URL: fal's proxy protocol) or from the path form
 * (`<mount>/<fal host>/<path>?<query>`). Both at once is refused, so no two parts of an app can read the request differently.
 */
export function readAddress(head: Head): Addressed | OwnRoute {
  if (!head.path.startsWith("/"))
    throw new ProxyError("ambiguous_target", { message: "The request line names a host: send a path." });
  const split = splitPath(head.path, head.mount);
  const headers = countOf(head.headers, "x-fal-target-url");
  if (headers > 1) throw new ProxyError("ambiguous_target");
  if (headers === 0) {
    if (split === undefined) throw new ProxyError("missing_target");
    const { mount, first, rest } = split;
    if (first === ownPrefix) return { form: "own", mount, route: rest };
    return { form: "path", mount, text: first + (head.query === null ? rest : `${rest}?${head.query}`) };
  }
  if (split !== undefined || head.query !== null || head.upgrade) throw new ProxyError("ambiguous_target");
  const mount = head.mount ?? withoutSlashes(head.path);
  return { form: "header", mount, text: valueOf(head.headers, "x-fal-target-url") ?? "" };
}

/** Without slashes at its end. A loop, as a regular expression looks at each row of slashes again and again. */
function withoutSlashes(path: string): string {
  let end = path.length;
  while (path[end - 1] === "/") end -= 1;
  return path.slice(0, end);
}

/** The target, by the grammar of its form. */
export function targetOf({ form, text }: Addressed): Target {
  if (form === "header") return parseTarget(text);
  const end = text.search(/[/?]|$/);
  return parseTargetParts(text.slice(0, end), text.slice(end));
}

/**
 * True when a path is addressed to the proxy in path form: how an upgrade, which no router sees, is recognised. With a known public
 * path the mount must be its end, as a reverse proxy may have taken off its beginning.
 */
export function isPathForm(path: string, publicPath: string | undefined): boolean {
  const split = splitPath(path, undefined);
  return split !== undefined && (publicPath === undefined || publicPath.endsWith(split.mount));
}

const ownPrefix = "~keyway";

/** With a known mount the host must follow it at once; else the first segment that is a fal host ends the mount. */
function splitPath(path: string, mount: string | undefined): Split | undefined {
  const below = mount === undefined ? path : path.slice(mount.length);
  const segments = below.split("/");
  const at = mount === undefined ? segments.findIndex((segment) => isFirst(segment)) : 1;
  const first = segments[at];
  if (first === undefined || !isFirst(first)) return undefined;
  if (segments.slice(1, at).includes("")) return undefined;
  const before = segments.slice(0, at).join("/");
  const rest = segments.length > at + 1 ? `/${segments.slice(at + 1).join("/")}` : "";
  return { mount: (mount ?? "") + before, first, rest };
}

function isFirst(segment: string): boolean {
  return segment === ownPrefix || isFalHost(segment);
}
