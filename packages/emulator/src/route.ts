import { methodRefused, refusal, type Answer } from "./answer.ts";
import { refuseCaller } from "./auth.ts";
import { methods } from "./call.ts";
import { answerCdn } from "./cdn.ts";
import { answerDirect } from "./direct.ts";
import type { Exchange } from "./exchange.ts";
import { answerJwks } from "./jwks.ts";
import { answerJob, submit } from "./queue.ts";
import { answerRest } from "./rest.ts";

/** Answers a call: who, how, then what. */
export async function route(exchange: Exchange): Promise<Answer> {
  const { call, method, platform } = exchange;
  const refused = refuseCaller(exchange);
  if (refused !== undefined) return refused;
  if (call.kind !== "cdn" && call.kind !== "unknown" && !methods[call.kind].includes(method)) {
    return methodRefused(methods[call.kind]);
  }
  switch (call.kind) {
    case "run":
    case "stream":
      return answerDirect(exchange);
    case "submit":
      return submit(exchange);
    case "status":
    case "status-stream":
    case "result":
    case "cancel":
      return answerJob(exchange);
    case "token":
    case "upload":
      return answerRest(exchange);
    case "cdn":
      return answerCdn(exchange);
    case "jwks":
      return answerJwks(platform.webhookKey);
    case "realtime":
    case "unknown":
      return refusal(404, "Not Found");
  }
}
