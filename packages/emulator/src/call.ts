import type { Address } from "./address.ts";

/** What a request asks for. `cdn` is everything on the file hosts, `jwks` the webhook keys; the rest are fal's calls. */
export type CallKind =
  | "run"
  | "stream"
  | "submit"
  | "status"
  | "status-stream"
  | "result"
  | "cancel"
  | "token"
  | "upload"
  | "realtime"
  | "cdn"
  | "jwks"
  | "unknown";

/** A request, understood. */
export interface Call extends Address {
  readonly kind: CallKind;
  /** `owner/alias`, or `namespace/owner/alias`; `""` where no app is named. */
  readonly app: string;
  /** The app with its path, without a job's part; `""` where no app is named. */
  readonly endpoint: string;
  /** The job's id on status, status-stream, result and cancel. */
  readonly requestId: string | undefined;
}

/** First segments after which the app's own name follows: the whole list in fal-js 1.10.1. */
const namespaces: readonly string[] = ["workflows", "comfy"];

const jobVerbs: ReadonlyMap<string, CallKind> = new Map([
  ["", "result"],
  ["response", "result"],
  ["status", "status"],
  ["status/stream", "status-stream"],
  ["cancel", "cancel"],
]);

const restCalls: ReadonlyMap<string, CallKind> = new Map([
  ["tokens", "token"],
  ["tokens/realtime", "token"],
  ["storage/upload/initiate", "upload"],
  ["storage/upload/initiate-multipart", "upload"],
  ["storage/auth/token", "upload"],
  [".well-known/jwks.json", "jwks"],
]);

const anyInput = ["POST", "GET", "PUT", "PATCH", "DELETE"];

/** The methods fal answers, by kind; all others are 405. The file hosts tell by path. */
export const methods: Readonly<Record<Exclude<CallKind, "cdn" | "unknown">, readonly string[]>> = {
  run: anyInput,
  stream: anyInput,
  submit: ["POST"],
  status: ["GET", "HEAD"],
  "status-stream": ["GET"],
  result: ["GET", "HEAD"],
  cancel: ["PUT"],
  token: ["POST"],
  upload: ["POST"],
  realtime: ["GET"],
  jwks: ["GET", "HEAD"],
};

export function callOf(address: Address, upgrade: boolean): Call {
  return { ...address, ...classify(address, upgrade) };
}

/** `owner/alias` or `namespace/owner/alias`. */
function appLength(segments: readonly string[]): number {
  return namespaces.includes(segments[0] ?? "") ? 3 : 2;
}

type Classified = Pick<Call, "kind" | "app" | "endpoint" | "requestId">;

const unknown: Classified = { kind: "unknown", app: "", endpoint: "", requestId: undefined };

function classify({ host, segments }: Address, upgrade: boolean): Classified {
  switch (host) {
    case "fal.run":
      return classifyRun(segments, upgrade);
    case "queue.fal.run":
      return upgrade ? unknown : classifyQueue(segments);
    case "rest.fal.ai":
    case "rest.alpha.fal.ai":
      return upgrade ? unknown : { ...unknown, kind: restCalls.get(segments.join("/")) ?? "unknown" };
    case "v3.fal.media":
    case "v3b.fal.media":
      return upgrade ? unknown : { ...unknown, kind: "cdn" };
    case undefined:
      return unknown;
  }
}

function classifyRun(segments: readonly string[], upgrade: boolean): Classified {
  const length = appLength(segments);
  if (segments.length < length) return unknown;
  const kind = upgrade ? "realtime" : segments.at(-1) === "stream" ? "stream" : "run";
  return { ...unknown, kind, app: segments.slice(0, length).join("/"), endpoint: segments.join("/") };
}

function classifyQueue(segments: readonly string[]): Classified {
  const length = appLength(segments);
  if (segments.length < length) return unknown;
  const app = segments.slice(0, length).join("/");
  const at = segments.indexOf("requests", length);
  if (at < 0) return { kind: "submit", app, endpoint: segments.join("/"), requestId: undefined };
  const kind = jobVerbs.get(segments.slice(at + 2).join("/"));
  const requestId = segments[at + 1];
  if (kind === undefined || requestId === undefined) return unknown;
  return { kind, app, endpoint: segments.slice(0, at).join("/"), requestId };
}
