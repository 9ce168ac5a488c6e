import type { IncomingMessage, ServerResponse } from "node:http";
import { addressOf } from "./address.ts";
import { refusal, type Answer } from "./answer.ts";
import { callOf } from "./call.ts";
import { toLines, type CallRecorder } from "./calls.ts";
import { pause } from "./clock.ts";
import { answerControl } from "./control.ts";
import { answerPreflight, corsHeaders } from "./cors.ts";
import { basesOf, requestIdOf, type Exchange } from "./exchange.ts";
import { answerOf } from "./faults.ts";
import type { Platform } from "./platform.ts";
import { route } from "./route.ts";
import { send } from "./send.ts";

/** Answers one HTTP request. Never rejects: whatever goes wrong is an answer or a broken connection. */
export async function handleHttp(
  request: IncomingMessage,
  response: ServerResponse,
  platform: Platform,
): Promise<void> {
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  const address = addressOf(request);
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort();
  });
  try {
    if (address.host === undefined) {
      const body = await readBody(request, platform.settings.maxBodyBytes);
      const answer = answerControl(request, address, body ?? new Uint8Array(0), platform);
      await send(response, answer, { fault: {}, gone: gone.signal, broken: () => undefined });
      return;
    }
    await handleCall(request, response, platform, gone.signal);
  } catch {
    if (response.headersSent) response.destroy();
    else response.writeHead(500, { "content-type": "application/json" }).end('{"detail":"Internal Server Error"}');
  }
}

async function handleCall(
  request: IncomingMessage,
  response: ServerResponse,
  platform: Platform,
  gone: AbortSignal,
): Promise<void> {
  const call = callOf(addressOf(request), false);
  const method = request.method ?? "";
  const headers = toLines(request.rawHeaders);
  const recorder = platform.calls.open(request, call);
  const fault = method === "OPTIONS" ? undefined : platform.faults.take(call, method);
  const broken = (): void => recorder.finish("broken");
  response.once("close", () => recorder.finish(response.writableFinished ? "answered" : "left"));
  const requestId = requestIdOf(call, platform);
  const reply = (answer: Answer): Promise<void> => {
    recorder.answer(answer.status);
    const date = new Date(platform.clock.now()).toUTCString();
    const common = [["date", date], ["x-fal-request-id", requestId], ...corsHeaders(headers)] as const;
    return send(response, { ...answer, headers: [...common, ...answer.headers] }, { fault: fault ?? {}, gone, broken });
  };
  const body = await readBody(request, platform.settings.maxBodyBytes, recorder);
  if (body === undefined) return reply(refusal(413, "Request body is too large", [["connection", "close"]]));
  if (fault?.delayMs !== undefined && !(await pause(fault.delayMs, gone))) return;
  if (fault?.drop === true || fault?.garbage === true) {
    broken();
    return fault.drop === true ? void response.destroy() : sendGarbage(response);
  }
  const exchange: Exchange = { platform, call, method, headers, body, requestId, ...basesOf(request, platform), gone };
  const instead = fault === undefined ? undefined : answerOf(fault);
  await reply(instead ?? answerPreflight(method, headers) ?? (await route(exchange)));
}

/** The whole body, or undefined when it is too large. Rejects when the caller leaves. */
async function readBody(
  request: IncomingMessage,
  limit: number,
  recorder?: CallRecorder,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    recorder?.chunk(chunk);
    bytes += chunk.length;
    if (bytes > limit) return undefined;
    chunks.push(chunk);
  }
  recorder?.bodyEnd();
  return Buffer.concat(chunks);
}

/** Bytes that no HTTP parser takes for an answer. */
function sendGarbage(response: ServerResponse): void {
  response.socket?.end(Buffer.from([0, 255, 13, 10, 254, 13, 10, 13, 10, 71, 65, 82, 66, 65, 71, 69]));
}
