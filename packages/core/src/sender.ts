import type { HeaderList } from "./head.ts";
import type { UpstreamHead, UpstreamRequest } from "./seam.ts";

/** Upstream's answer: its body not read yet, or all of it where a sender has it at once. */
export interface UpstreamAnswer extends UpstreamHead {
  readonly body: ReadableStream<Uint8Array> | Uint8Array | null;
}

/** Sends requests for the web transport. Global fetch serves everywhere; a host may bring something better. */
export interface Sender {
  /** Never follows a redirect, never sends twice; rejects when the signal is aborted. */
  send(
    up: UpstreamRequest,
    body: ReadableStream<Uint8Array> | Uint8Array | null,
    signal: AbortSignal,
  ): Promise<UpstreamAnswer>;
  /** Whether the request of this failure may have reached upstream. */
  wasSent(error: unknown): boolean;
}

/** The sender on global fetch. */
export function createFetchSender(): Sender {
  return {
    async send(up, body, signal) {
      // fetch says itself that nothing comes; the fetch of Node 22 fails when it is told so as well.
      const headers = body === null ? up.headers.filter(([name]) => name !== "content-length") : up.headers;
      const response = await fetch(up.origin + up.path, {
        method: up.method,
        headers: toHeaders(headers),
        body: (body instanceof Uint8Array ? streamOf(body) : body) as BodyInit | null,
        redirect: "manual",
        signal,
        ...(body === null ? {} : { duplex: "half" }),
      });
      return { status: response.status, headers: decodedHeaders(response), body: response.body };
    },
    wasSent: (error) => !isUnsent(error),
  };
}

/** fetch sends bytes a second time when upstream answers 421 (WHATWG Fetch, section 4.6); a stream it cannot. */
function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new Blob([new Uint8Array(bytes)]).stream();
}

function toHeaders(list: HeaderList): Headers {
  const headers = new Headers();
  for (const [name, value] of list) headers.append(name, value);
  return headers;
}

/** fetch has decoded the body already, so what described the coded bytes is no longer true. */
function decodedHeaders({ headers }: Response): HeaderList {
  const list = [...headers];
  const coding = headers.get("content-encoding")?.toLowerCase() ?? "identity";
  if (!["gzip", "x-gzip", "deflate", "br", "zstd"].includes(coding)) return list;
  return list.filter(([name]) => name !== "content-encoding" && name !== "content-length");
}

const unsentCodes =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS.*|ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION|ERR_SSL_UNSUPPORTED_PROTOCOL|.*CERT.*|DEPTH_ZERO.*|UNABLE_TO.*)$/;

function isUnsent(error: unknown): boolean {
  const root = rootOf(error);
  return root instanceof Error && "code" in root && unsentCodes.test(String(root.code));
}

/** fetch wraps what happened in "fetch failed"; what a body stream threw comes back as it was. */
export function rootOf(error: unknown): unknown {
  return error instanceof TypeError && error.cause !== undefined ? error.cause : error;
}

/** For transports: a kept-alive connection that upstream closed just as we used it, so what may be repeated is sent once more. */
export function isReset(error: unknown): boolean {
  const root = rootOf(error);
  return root instanceof Error && "code" in root && /^(?:ECONNRESET|UND_ERR_SOCKET|EPIPE)$/.test(String(root.code));
}
