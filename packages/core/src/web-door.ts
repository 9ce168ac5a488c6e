import { collectStream } from "./body-stream.ts";
import { ProxyError } from "./errors.ts";
import type { Head, HeaderList } from "./head.ts";
import type { Door } from "./seam.ts";
import type { Sender } from "./sender.ts";

/** What a web-standard host knows beside the Request. */
export interface FetchContext {
  /** Handed to `authorize` as `native`. */
  readonly native?: unknown;
  /** The peer's address, where the host tells it. */
  readonly address?: string | undefined;
  /** The mount path, when the host knows it exactly. */
  readonly mount?: string | undefined;
  /** What the host took off the beginning of the URL's path, such as Next's `basePath`. */
  readonly base?: string | undefined;
  /** What sends requests upstream; default global fetch. */
  readonly sender?: Sender | undefined;
  /** The setting with which the host itself bounds request bodies: named in the refusal when it cut one off. */
  readonly hostLimit?: string | undefined;
  /** Keeps a serverless process alive after the answer. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
}

/** The caller's side of a Request. A class for the reason that is given at `AdmittedCall`, and so is its head. */
export class WebDoor implements Door {
  readonly head: Head;
  readonly native: unknown;
  readonly codings = "identity";
  readonly closing = false;
  readonly waitUntil: Door["waitUntil"];
  readonly #request: Request;
  readonly #hostLimit: string | undefined;
  readonly #within: number;

  /** Every piece of the body must come within so many milliseconds. */
  constructor(request: Request, context: FetchContext, within: number) {
    this.head = new RequestHead(request, context);
    this.native = context.native;
    this.waitUntil = context.waitUntil === undefined ? ignoreFailure : (work) => context.waitUntil?.(work);
    this.#request = request;
    this.#hostLimit = context.hostLimit;
    this.#within = within;
  }

  async body(maxBytes: number): Promise<Uint8Array> {
    const request = this.#request;
    const limits = { maxBytes, within: this.#within, announced: lengthOf(request), hostLimit: this.#hostLimit };
    return collectStream(bodyOf(request), limits);
  }

  isGone(): boolean {
    return this.#request.signal.aborted;
  }
}

class RequestHead implements Head {
  readonly method: string;
  readonly path: string;
  readonly query: string | null;
  readonly mount: string | undefined;
  readonly headers: HeaderList;
  readonly address: string | undefined;
  readonly secure: boolean;
  readonly upgrade = false;

  constructor(request: Request, context: FetchContext) {
    const [, scheme, path, query] = urlParts.exec(request.url) ?? [];
    this.method = request.method;
    this.path = (context.base ?? "") + (path || "/");
    this.query = query ?? null;
    this.mount = context.mount;
    this.headers = [...request.headers];
    this.address = context.address;
    this.secure = scheme === "https";
  }
}

/** A Request's URL is parsed and written anew already (WHATWG Fetch, section 5.4), so it need not be parsed a second time. */
const urlParts = /^([^:]*):\/\/[^/?#]*([^?#]*)(?:\?([^#]*))?/;

function ignoreFailure(work: Promise<unknown>): void {
  work.catch(() => undefined);
}

export function lengthOf(request: Request): number | undefined {
  const length = request.headers.get("content-length");
  return length === null ? undefined : Number(length);
}

/** A body that is there in name only is none, so that it goes upstream with a length of 0. */
export function bodyOf(request: Request): ReadableStream<Uint8Array> | null {
  if (request.bodyUsed || request.body?.locked === true) {
    throw new ProxyError("body_consumed", {
      log: "the Request's body was read before it reached the proxy: hand over the Request unread, or its clone()",
    });
  }
  return request.headers.get("content-length") === "0" ? null : request.body;
}
