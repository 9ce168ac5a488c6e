import { type Call, isSafe, namesJob, renderCall } from "./call.ts";
import type { AdmittedCall } from "./exchange.ts";
import { type Header, type HeaderList, valueOf } from "./head.ts";
import type { Settings } from "./options.ts";
import { takesBody } from "./rules/body.ts";
import { requestHeaders } from "./rules/headers.ts";
import type { UpstreamRequest } from "./seam.ts";

/** The request that an admitted call sends to fal.ai. */
export function upstreamRequest(admitted: AdmittedCall): UpstreamRequest {
  return new CallRequest(admitted);
}

/** A class for the reason that is given at {@link AdmittedCall}. */
class CallRequest implements UpstreamRequest {
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly headers: HeaderList;
  readonly body: UpstreamRequest["body"];
  readonly maxBodyBytes: number;
  readonly repeatable: boolean;
  readonly timeouts: UpstreamRequest["timeouts"];

  constructor(admitted: AdmittedCall) {
    const { call, settings, door, apiKey, body, job } = admitted;
    const { upstream } = settings;
    const path = renderCall(call, job?.from, admitted.query);
    this.method = call.method;
    this.origin = upstream?.origin ?? `https://${call.host}`;
    this.path = upstream === undefined ? path : `${upstream.prefix}/${call.host}${path}`;
    this.headers = headersFor(admitted, door.head.headers, apiKey);
    this.body = body;
    this.maxBodyBytes = settings.maxBodyBytes;
    this.repeatable = isSafe(call);
    this.timeouts = timeoutsOf(call, settings);
  }
}

function timeoutsOf({ kind }: Call, { timeouts }: Settings): UpstreamRequest["timeouts"] {
  const long = kind === "run" || kind === "stream";
  const streams = long || kind === "status-stream";
  return {
    connect: timeouts.connect,
    head: kind === "realtime" ? timeouts.handshake : long ? timeouts.runHead : timeouts.head,
    idle: kind === "realtime" ? timeouts.socketIdle : streams ? timeouts.streamIdle : timeouts.idle,
    body: timeouts.callerBody,
  };
}

function headersFor(admitted: AdmittedCall, given: HeaderList, apiKey: string): Header[] {
  const { call, settings, trace, body, door } = admitted;
  const headers = requestHeaders(given, settings.forwardHeaders, takesBody(call), (name) => trace.dropped(name));
  const sent = body instanceof Uint8Array ? headers.filter(([name]) => name !== "content-length") : headers;
  const coding = door.codings === "pass" && !readsAnswer(admitted) ? valueOf(given, "accept-encoding") : "identity";
  if (body instanceof Uint8Array) sent.push(contentLength(body));
  if (coding !== undefined) sent.push(["accept-encoding", coding]);
  sent.push(["authorization", `Key ${apiKey}`]);
  return sent;
}

/** Whether the answer's bytes have to be changed: ids sealed, URLs led back to us. */
export function rewritesAnswer({ call, origin, base }: Pick<AdmittedCall, "call" | "origin" | "base">): boolean {
  return namesJob(call) && (origin.owned || base !== undefined);
}

/** Whether the answer's bytes are looked at: to change them, to learn a new job's id, or to hear of a job's end. */
export function readsAnswer(admitted: Pick<AdmittedCall, "call" | "origin" | "base" | "hold">): boolean {
  const { kind } = admitted.call;
  const tells = kind === "status" || kind === "status-stream" || (kind === "submit" && admitted.hold !== undefined);
  return tells || rewritesAnswer(admitted);
}

export function contentLength(bytes: Uint8Array): Header {
  return ["content-length", String(bytes.length)];
}
