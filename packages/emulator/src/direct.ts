import type { Answer } from "./answer.ts";
import { invoke, toAnswer, toInput, type App, type Outcome } from "./app.ts";
import { createChannel, type Channel } from "./channel.ts";
import { createContext } from "./context.ts";
import { infrastructureError, unknownApplication } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { toEventStream } from "./sse.ts";

/** `fal.run`: the app's output as the answer, or its events as a stream. */
export async function answerDirect(exchange: Exchange): Promise<Answer> {
  const { platform, call } = exchange;
  const kind = call.kind === "stream" ? "stream" : "run";
  const app = platform.apps.find(call.endpoint, kind);
  if (app === undefined) return unknownApplication(call.app.slice(call.app.lastIndexOf("/") + 1));
  const parsed = exchange.method === "GET" ? { input: fromQuery(call.query) } : toInput(exchange.body);
  if ("refused" in parsed) return parsed.refused;
  if (platform.direct >= platform.settings.directConcurrency) return infrastructureError("concurrent_requests_limit");
  return kind === "stream" ? stream(app, parsed.input, exchange) : run(app, parsed.input, exchange);
}

async function run(app: App, input: unknown, exchange: Exchange): Promise<Answer> {
  const { platform, requestId, gone } = exchange;
  const use = createContext(exchange, { kind: "run", requestId, signal: gone });
  platform.direct += 1;
  try {
    const outcome = await invoke(app, input, use.context);
    return toAnswer(outcome, use.units);
  } finally {
    platform.direct -= 1;
  }
}

/** Waits for the first event, because an app that fails before it still answers with a status. */
async function stream(app: App, input: unknown, exchange: Exchange): Promise<Answer> {
  const { platform, requestId, gone } = exchange;
  const channel = createChannel<unknown, Outcome>();
  const emit = (event: unknown): Promise<void> => channel.push(event);
  const use = createContext(exchange, { kind: "stream", requestId, signal: gone, emit });
  gone.addEventListener("abort", () => channel.leave(), { once: true });
  platform.direct += 1;
  void invoke(app, input, use.context).then((outcome) => {
    platform.direct -= 1;
    channel.end(outcome);
  });
  const first = await channel.next();
  if (first.done === true && first.value.kind === "answer") return toAnswer(first.value, use.units);
  return toEventStream(events(first, channel), platform.settings.pingMs);
}

async function* events(first: IteratorResult<unknown, Outcome>, channel: Channel<unknown, Outcome>): AsyncGenerator {
  let result = first;
  while (result.done !== true) {
    yield result.value;
    result = await channel.next();
  }
  if (result.value.kind === "answer") throw new Error("the app failed within its stream");
  if (result.value.value !== undefined) yield result.value.value;
}

/** The input of a GET run: each name once, the last value wins (fal-js 1.10.1, `method: "get"`). */
function fromQuery(query: URLSearchParams): Record<string, string> {
  return Object.fromEntries([...query].filter(([name]) => name !== "fal_jwt_token"));
}
