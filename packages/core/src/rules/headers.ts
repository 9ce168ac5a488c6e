import { type Header, type HeaderList, valueOf } from "../head.ts";

/** Request headers that cross to fal.ai, by exact name (fal docs, platform headers). */
export const requestHeaderNames: readonly string[] = [
  "accept",
  "content-type",
  "content-length",
  "user-agent",
  "last-event-id",
  "x-fal-queue-priority",
  "x-fal-runner-hint",
  "x-fal-request-timeout",
  "x-fal-no-retry",
  "x-fal-retry-config",
  "x-fal-store-io",
  "x-fal-object-lifecycle",
  "x-fal-object-lifecycle-preference",
  "x-fal-tags",
  "x-app-fal-disable-fallback",
];

/** Answer headers that cross to the caller, by exact name. */
export const answerHeaderNames: readonly string[] = [
  "content-type",
  "content-length",
  "content-encoding",
  "content-language",
  "content-disposition",
  "content-range",
  "x-fal-request-id",
  "x-fal-billable-units",
  "x-fal-error-type",
  "x-fal-request-timeout-type",
  "x-fal-needs-retry",
  "x-fal-served-from",
  "x-fal-runner-hints",
  "retry-after",
];

const neverCross = new Set([
  "accept-encoding",
  "authorization",
  "connection",
  "content-encoding",
  "cookie",
  "expect",
  "forwarded",
  "host",
  "keep-alive",
  "origin",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "referer",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "via",
  "x-fal-target-url",
  "x-fal-user-id",
]);
const headerName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** Why `forwardHeaders` may not hold a name, or undefined when it may. */
export function whyNeverForwarded(name: string): string | undefined {
  if (!headerName.test(name)) return "is not a lower-case header name";
  if (neverCross.has(name) || /^(?:x-forwarded-|sec-|proxy-|access-control-)/.test(name))
    return "never crosses to fal.ai";
  return undefined;
}

const crossing: ReadonlySet<string> = new Set(requestHeaderNames);
const answering: ReadonlySet<string> = new Set(answerHeaderNames);

/**
 * The headers to send upstream, without the key: repeats are joined as RFC 9110, section 5.3 has it. Filtered and not pushed into a
 * literal, for the reason that is given at `AdmittedCall`; so are those of answers.
 */
export function requestHeaders(
  headers: HeaderList,
  forward: readonly string[],
  hasBody: boolean,
  dropped: (name: string) => void,
): Header[] {
  const passed = headers.filter(([name]) => {
    if (crossing.has(name) || forward.includes(name)) return hasBody || name !== "content-length";
    if (name.startsWith("x-fal-") && !neverCross.has(name)) dropped(name);
    return false;
  });
  return passed.some(isRepeated) ? joinRepeats(passed) : passed;
}

/** Whether the name stood in the list before. */
function isRepeated([name]: Header, index: number, all: HeaderList): boolean {
  return all.findIndex(([other]) => other === name) < index;
}

function joinRepeats(headers: HeaderList): Header[] {
  const joined = new Map<string, string>();
  for (const [name, value] of headers) {
    const before = joined.get(name);
    joined.set(name, before === undefined ? value : `${before}, ${value}`);
  }
  return [...joined];
}

/** What a body rewrite does to the answer's headers. */
export interface AnswerRewrite {
  /** The body changes on its way, so its length does. */
  readonly bodyChanges: boolean;
  /** A job id to replace in x-fal-request-id. */
  readonly requestId: { readonly from: string; readonly to: string } | undefined;
}

/** Upstream's answer headers that may cross. A hop-by-hop name never does, even where `Connection` names one that is listed. */
export function answerHeaders(headers: HeaderList, rewrite: AnswerRewrite): Header[] {
  const { bodyChanges, requestId } = rewrite;
  const connection = valueOf(headers, "connection")?.toLowerCase() ?? "";
  const passed = headers.filter(([name]) => {
    if (!answering.has(name) || (name === "content-length" && bodyChanges)) return false;
    return connection === "" || !connection.split(",").some((token) => token.trim() === name);
  });
  if (requestId === undefined) return passed;
  return passed.map((header) =>
    header[0] === "x-fal-request-id" && header[1] === requestId.from ? [header[0], requestId.to] : header,
  );
}

/** Headers that we set on every answer, ours or upstream's: one URL serves every call, so nothing may be cached or rendered. */
export function ownHeaders(kind: "plain" | "stream", crossOrigin: boolean): readonly Header[] {
  return (kind === "stream" ? streamHeaders : plainHeaders)[crossOrigin ? 1 : 0];
}

function buildOwnHeaders(caching: string, resourcePolicy: string, more: readonly Header[]): readonly Header[] {
  return [
    ["cache-control", caching],
    ["vary", "origin, x-fal-target-url, authorization, cookie"],
    ["x-content-type-options", "nosniff"],
    ["content-security-policy", "sandbox; default-src 'none'"],
    ["cross-origin-resource-policy", resourcePolicy],
    ...more,
  ];
}

type Pair = readonly [sameOrigin: readonly Header[], crossOrigin: readonly Header[]];
const plainHeaders: Pair = [
  buildOwnHeaders("no-store, private", "same-origin", []),
  buildOwnHeaders("no-store, private", "cross-origin", []),
];
const streaming: readonly Header[] = [["x-accel-buffering", "no"]];
const streamHeaders: Pair = [
  buildOwnHeaders("no-store, private, no-transform", "same-origin", streaming),
  buildOwnHeaders("no-store, private, no-transform", "cross-origin", streaming),
];
