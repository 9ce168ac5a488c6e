import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { toLines } from "../wire.ts";

/** What the host tells a web handler beside the Request. */
interface HostContext {
  readonly address: string | undefined;
  waitUntil(work: Promise<unknown>): void;
}

export type WebHandler = (request: Request, context: HostContext) => Promise<Response>;

/** Lets a web-standard handler answer Node's requests: streams both ways, and aborts `request.signal` when the caller leaves. */
export function toListener(handler: WebHandler): RequestListener {
  return (incoming, outgoing) => {
    answer(handler, incoming, outgoing).catch(() => outgoing.destroy());
  };
}

async function answer(handler: WebHandler, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const gone = new AbortController();
  outgoing
    .on("error", () => undefined)
    .once("close", () => {
      if (!outgoing.writableFinished) gone.abort();
    });
  incoming.on("error", () => undefined);
  const response = await handler(toRequest(incoming, gone.signal), {
    address: incoming.socket.remoteAddress,
    waitUntil: (work) => void work.catch(() => undefined),
  });
  if (outgoing.destroyed) return response.body?.cancel();
  outgoing.writeHead(response.status, [...response.headers].flat());
  if (response.body === null || incoming.method === "HEAD") outgoing.end();
  else await pipe(response.body, outgoing, gone.signal);
}

function toRequest(incoming: IncomingMessage, signal: AbortSignal): Request {
  const method = incoming.method ?? "GET";
  const headers = new Headers();
  for (const [name, value] of toLines(incoming.rawHeaders)) headers.append(name, value);
  const body = method === "GET" || method === "HEAD" ? null : Readable.toWeb(incoming);
  const init = { method, headers, body, signal, duplex: "half" };
  return new Request(`http://${incoming.headers.host ?? "127.0.0.1"}${incoming.url ?? "/"}`, init as RequestInit);
}

/** A body that fails is a broken connection; a caller who leaves cancels the body. */
async function pipe(body: ReadableStream<Uint8Array>, outgoing: ServerResponse, gone: AbortSignal): Promise<void> {
  const reader = body.getReader();
  gone.addEventListener("abort", () => void reader.cancel().catch(() => undefined));
  outgoing.flushHeaders();
  for (;;) {
    const { done, value } = await reader.read();
    if (gone.aborted) return;
    if (done) return void outgoing.end();
    if (!outgoing.write(value)) await drained(outgoing);
  }
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      outgoing.off("drain", go).off("close", go);
      resolve();
    };
    outgoing.on("drain", go).on("close", go);
  });
}
