import { namesJob, renderCall } from "./call.ts";
import type { Admitted } from "./exchange.ts";
import { type Header, type HeaderList, valueOf } from "./head.ts";
import { takesBody } from "./rules/body.ts";
import { requestHeaders } from "./rules/headers.ts";
import type { UpstreamRequest } from "./seam.ts";

/** The request that an admitted call sends to fal.ai. */
export function upstreamRequest(admitted: Admitted): UpstreamRequest {
  const { call, settings, door, apiKey, body, job } = admitted;
  const long = call.kind === "run" || call.kind === "stream";
  const streams = long || call.kind === "status-stream";
  const { upstream, timeouts } = settings;
  const path = renderCall(call, job?.from, admitted.query);
  return {
    method: call.method,
    origin: upstream?.origin ?? `https://${call.host}`,
    path: upstream === undefined ? path : `${upstream.prefix}/${call.host}${path}`,
    headers: headersFor(admitted, door.head.headers, apiKey),
    body,
    maxBodyBytes: settings.maxBodyBytes,
    repeatable: call.method === "GET" || call.method === "HEAD",
    timeouts: {
      connect: timeouts.connect,
      head: call.kind === "realtime" ? timeouts.handshake : long ? timeouts.runHead : timeouts.head,
      idle: call.kind === "realtime" ? timeouts.socketIdle : streams ? timeouts.streamIdle : timeouts.idle,
      body: timeouts.callerBody,
    },
  };
}

function headersFor(admitted: Admitted, given: HeaderList, apiKey: string): Header[] {
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
export function rewritesAnswer({ call, seal, base }: Pick<Admitted, "call" | "seal" | "base">): boolean {
  return namesJob(call) && (seal !== undefined || base !== undefined);
}

/** Whether the answer's bytes are looked at: to change them, to learn a new job's id, or to hear of a job's end. */
export function readsAnswer(admitted: Pick<Admitted, "call" | "seal" | "base" | "hold">): boolean {
  const { kind } = admitted.call;
  const tells = kind === "status" || kind === "status-stream" || (kind === "submit" && admitted.hold !== undefined);
  return tells || rewritesAnswer(admitted);
}

export function contentLength(bytes: Uint8Array): Header {
  return ["content-length", String(bytes.length)];
}
