import { ProxyError } from "./errors.ts";
import { renderPath, type Target, type UpstreamHost } from "./rules/target.ts";

/** The closed table of calls. Whatever is not in it is refused by name. */
export type Kind =
  | "run"
  | "stream"
  | "submit"
  | "status"
  | "status-stream"
  | "result"
  | "cancel"
  | "token"
  | "upload"
  | "realtime";

/** One caller request, understood. */
export interface Call {
  readonly kind: Kind;
  readonly method: string;
  readonly host: UpstreamHost;
  /** `owner/alias[/path]`, with `workflows/` or `comfy/` before it for these namespaces; `""` for token and upload calls. */
  readonly endpoint: string;
  /** The endpoint without its path; `""` for token and upload calls. */
  readonly app: string;
  /** The job id as the caller sent it (sealed, for an owned job); undefined where there is none. */
  readonly requestId: string | undefined;
  /** Raw query without `?`, or null. */
  readonly query: string | null;
  readonly target: Target;
}

const namespaces: readonly string[] = ["workflows", "comfy"];
const requestIdSyntax = /^[A-Za-z0-9._~-]{1,256}$/;
const restCalls: Readonly<Record<string, Kind>> = {
  "tokens/": "token",
  "tokens/realtime": "token",
  "storage/upload/initiate": "upload",
  "storage/upload/initiate-multipart": "upload",
};

/** What an endpoint's rule may let `run` and `stream` take. */
export const runMethods: readonly string[] = ["POST", "GET", "PUT", "PATCH", "DELETE"];

/** Methods by kind; `run` and `stream` take others where an endpoint's rule says so. */
const methods: Readonly<Record<Kind, readonly string[]>> = {
  run: runMethods,
  stream: runMethods,
  submit: ["POST"],
  status: ["GET", "HEAD"],
  "status-stream": ["GET"],
  result: ["GET", "HEAD"],
  cancel: ["PUT"],
  token: ["POST"],
  upload: ["POST"],
  realtime: ["GET"],
};

/** Every method that some call takes. */
export const callMethods: readonly string[] = [...new Set(Object.values(methods).flat())];

/** Turns a target and a method into a call (URL shapes: fal-js 1.10.1 and fal's queue documentation). */
export function parseCall(target: Target, method: string, upgrade: boolean): Call {
  const call = { ...classify(target, upgrade), method, host: target.host, query: target.query, target };
  if (!methods[call.kind].includes(method)) throw methodRefused(call.kind, methods[call.kind]);
  return call;
}

export function methodRefused(kind: Kind, allowed: readonly string[]): ProxyError {
  return new ProxyError("method_refused", {
    message: `A ${kind} call takes ${allowed.join(" or ")}.`,
    headers: [["allow", allowed.join(", ")]],
  });
}

/** Calls whose answers name a job by its id and URLs. */
export function namesJob({ kind }: Pick<Call, "kind">): boolean {
  return kind === "submit" || kind === "status" || kind === "status-stream";
}

/**
 * Whether fal.ai does no more for it than answer (safe, RFC 9110, section 9.2.1), so that it may be sent again. A run is not, whatever
 * its method is; an opened WebSocket runs nothing yet.
 */
export function isSafe({ kind }: Pick<Call, "kind">): boolean {
  return kind === "status" || kind === "status-stream" || kind === "result" || kind === "realtime";
}

/** How many leading segments name the app. */
export function appLength(segments: readonly string[]): number {
  return namespaces.includes(segments[0] ?? "") ? 3 : 2;
}

/** The app of an endpoint. */
export function appOf(endpoint: string): string {
  const segments = endpoint.split("/");
  return segments.slice(0, appLength(segments)).join("/");
}

/** The upstream path of a call, with fal's own job id in place of the caller's. */
export function renderCall(call: Call, falRequestId: string | undefined, query: string | null): string {
  const { segments, trailingSlash } = call.target;
  const at = segments.indexOf("requests", appLength(segments)) + 1;
  const own =
    falRequestId === undefined ? segments : segments.map((segment, index) => (index === at ? falRequestId : segment));
  return renderPath(own, trailingSlash, query);
}

type Classified = Pick<Call, "kind" | "endpoint" | "app" | "requestId">;

function classify(target: Target, upgrade: boolean): Classified {
  switch (target.host) {
    case "fal.run":
      return classifyRun(target.segments, upgrade);
    case "queue.fal.run":
      if (upgrade) throw unknown("there is no WebSocket on queue.fal.run");
      return classifyQueue(target.segments);
    case "rest.fal.ai":
    case "rest.alpha.fal.ai":
      if (upgrade) throw unknown("there is no WebSocket on this host");
      return classifyRest(target);
  }
}

function classifyRun(segments: readonly string[], upgrade: boolean): Classified {
  const length = appLength(segments);
  if (segments.length < length) throw unknown("an endpoint is owner/alias[/path]");
  if (segments.includes("requests", length)) throw unknown("jobs live on queue.fal.run");
  const last = segments.at(-1);
  const kind = upgrade ? "realtime" : last === "stream" ? "stream" : "run";
  const suffix = upgrade ? "realtime" : "stream";
  const named = segments.length > length && last === suffix ? segments.slice(0, -1) : segments;
  return { kind, endpoint: named.join("/"), app: segments.slice(0, length).join("/"), requestId: undefined };
}

function classifyQueue(segments: readonly string[]): Classified {
  const length = appLength(segments);
  if (segments.length < length) throw unknown("an endpoint is owner/alias[/path]");
  const app = segments.slice(0, length).join("/");
  const at = segments.indexOf("requests", length);
  if (at < 0) return { kind: "submit", endpoint: segments.join("/"), app, requestId: undefined };
  const requestId = segments[at + 1] ?? "";
  if (!requestIdSyntax.test(requestId)) throw unknown("a job is named by its request id");
  const kind = queueVerbs[segments.slice(at + 2).join("/")];
  if (kind === undefined) throw unknown("a job has status, status/stream, cancel and its result");
  return { kind, endpoint: segments.slice(0, at).join("/"), app, requestId };
}

const queueVerbs: Readonly<Record<string, Kind>> = Object.assign(Object.create(null), {
  "": "result",
  response: "result",
  status: "status",
  "status/stream": "status-stream",
  cancel: "cancel",
});

function classifyRest(target: Target): Classified {
  const path = target.segments.join("/") + (target.trailingSlash ? "/" : "");
  const kind = Object.hasOwn(restCalls, path) ? restCalls[path] : undefined;
  if (kind === undefined) throw unknown("only tokens and storage initiation are called there");
  return { kind, endpoint: "", app: "", requestId: undefined };
}

function unknown(why: string): ProxyError {
  return new ProxyError("unknown_call", { message: `This is not one of fal's documented calls: ${why}.` });
}
