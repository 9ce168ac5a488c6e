import type { IncomingMessage } from "node:http";
import type { HeaderLine } from "./answer.ts";
import { toHost } from "./address.ts";
import type { Call } from "./call.ts";
import type { Platform } from "./platform.ts";

/** One request with all that a route needs to answer it. */
export interface Exchange {
  readonly platform: Platform;
  readonly call: Call;
  readonly method: string;
  readonly headers: readonly HeaderLine[];
  readonly body: Uint8Array;
  /** Value of `x-fal-request-id`: the job's id on calls that name a job, else fresh. */
  readonly requestId: string;
  /** Base of file URLs that the caller's browser can reach. */
  readonly cdnBase: string;
  /** Base of job URLs. */
  readonly queueBase: string;
  /** Fires when the caller leaves before the whole answer is his, and when the emulator closes. */
  readonly gone: AbortSignal;
}

const idSyntax = /^[\w.~-]{1,256}$/;

export function requestIdOf(call: Call, platform: Platform): string {
  return call.requestId !== undefined && idSyntax.test(call.requestId) ? call.requestId : platform.ids.uuid(call.kind);
}

/** Where URLs in answers point: options first, then where we listen, then where the caller found us. */
export function basesOf(
  request: IncomingMessage,
  { settings, origin }: Platform,
): Pick<Exchange, "cdnBase" | "queueBase"> {
  const host = request.headers.host;
  const found = host === undefined || toHost(host.replace(/:\d+$/, "")) !== undefined ? undefined : `http://${host}`;
  const own = settings.publicUrl ?? origin ?? found;
  const under = (name: string): string => (own === undefined ? `https://${name}` : `${own}/${name}`);
  return {
    cdnBase: settings.cdnUrl ?? under("v3b.fal.media"),
    queueBase: settings.urls === "own" ? under("queue.fal.run") : "https://queue.fal.run",
  };
}
