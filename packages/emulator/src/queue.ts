import { headerOf, json, methodRefused, refusal, toWhole, type Answer, type WholeAnswer } from "./answer.ts";
import { invoke, toAnswer, toInput, type App } from "./app.ts";
import { toLogTime } from "./clock.ts";
import { createContext } from "./context.ts";
import { infrastructureError, unknownApplication, validationError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { follow, momentOf, move, type Job } from "./job.ts";
import { toEventStream } from "./sse.ts";
import { toStatus, toSubmitted } from "./status.ts";

/** POST of an endpoint: the job is accepted whatever its input; a wrong input fails the job. */
export function submit(exchange: Exchange): Answer {
  const { platform, call, requestId } = exchange;
  const app = platform.apps.find(call.endpoint, "submit");
  if (app === undefined) return unknownApplication(call.app.slice(call.app.lastIndexOf("/") + 1));
  const refused = refuseLength(exchange) ?? refuseWebhook(exchange);
  if (refused !== undefined) return refused;
  const job = platform.jobs.add({
    id: requestId,
    app: call.app,
    startWithinMs: startDeadline(headerOf(exchange.headers, "x-fal-request-timeout")),
    work: (started) => work(app, started, exchange),
  });
  const webhook = call.query.get("fal_webhook");
  if (webhook !== null) platform.deliveries.schedule(job, call.endpoint, webhook);
  return json(200, toSubmitted(job, momentOf(job), exchange.queueBase));
}

/** Everything that names a job. */
export async function answerJob(exchange: Exchange): Promise<Answer> {
  const { platform, call } = exchange;
  const pathGiven = call.endpoint !== call.app;
  if (pathGiven && platform.settings.strict.urls) return methodRefused(["POST"]);
  const job = platform.jobs.find(call.requestId ?? "");
  if (job === undefined || job.app !== call.app) return json(404, { status: "NOT_FOUND" });
  if (call.kind === "status") return status(job, exchange);
  if (call.kind === "status-stream") return toEventStream(statusEvents(job, exchange), platform.settings.pingMs);
  if (call.kind === "cancel") return cancel(job, exchange);
  return job.answer ?? refusal(400, "Request is still in progress");
}

/** fal docs, queue. */
function cancel(job: Job, { platform }: Exchange): Answer {
  return platform.jobs.cancel(job)
    ? json(202, { status: "CANCELLATION_REQUESTED" })
    : json(400, { status: "ALREADY_COMPLETED" });
}

/** 202 until COMPLETED, then 200 (fal docs, inference API). */
async function status(job: Job, exchange: Exchange): Promise<Answer> {
  await exchange.platform.jobs.read(job, exchange.gone);
  const moment = momentOf(job);
  const logs = wantsLogs(exchange) ? job.logs : null;
  return json(moment.status === "COMPLETED" ? 200 : 202, toStatus(job, moment, exchange.queueBase, logs));
}

/** One status per change; each carries only the log lines that are new. */
async function* statusEvents(job: Job, exchange: Exchange): AsyncGenerator {
  let told = 0;
  for await (const moment of follow(job, exchange.gone)) {
    const logs = wantsLogs(exchange) ? job.logs.slice(told, moment.logs) : null;
    told = moment.logs;
    yield toStatus(job, moment, exchange.queueBase, logs);
    exchange.platform.jobs.advance(job);
  }
}

async function work(app: App, job: Job, exchange: Exchange): Promise<WholeAnswer> {
  const parsed = toInput(exchange.body);
  if ("refused" in parsed) return parsed.refused;
  const signal = job.stop.signal;
  const use = createContext(exchange, {
    kind: "submit",
    requestId: job.id,
    signal,
    log(message, level) {
      if (momentOf(job).status !== "IN_PROGRESS") return;
      const timestamp = toLogTime(exchange.platform.clock.now());
      job.logs.push({ timestamp, message, level, source: "USER", labels: { level, source: "USER" } });
      move(job, "IN_PROGRESS");
    },
  });
  try {
    return await toWhole(toAnswer(await invoke(app, parsed.input, use.context), use.units));
  } catch {
    return infrastructureError("runner_incomplete_response"); // a body given in pieces that broke off
  }
}

/** `fal_max_queue_length`: 429 when the app's queue is longer (fal docs, queue). */
function refuseLength({ platform, call }: Exchange): Answer | undefined {
  const given = call.query.get("fal_max_queue_length");
  if (given === null) return undefined;
  const issue = { loc: ["query", "fal_max_queue_length"], msg: "Input should be a valid integer", type: "int_parsing" };
  if (!/^\d+$/.test(given)) return validationError([issue]);
  return platform.jobs.waiting(call.app) > Number(given) ? refusal(429, "Queue length exceeds the limit") : undefined;
}

function refuseWebhook({ call }: Exchange): Answer | undefined {
  const url = call.query.get("fal_webhook");
  if (url === null || /^https?:\/\/[^/]/.test(url)) return undefined;
  return validationError([{ loc: ["query", "fal_webhook"], msg: "Input should be a valid URL", type: "url_parsing" }]);
}

/** Seconds to milliseconds; a value the platform would not take (up to 0.1 s) sets no deadline. */
function startDeadline(header: string | undefined): number | undefined {
  const seconds = Number(header);
  return header !== undefined && seconds > 0.1 && seconds < 1e6 ? seconds * 1000 : undefined;
}

/** fal-js sends 0 or 1, Python true or false, Java nothing for no (their sources). */
function wantsLogs({ call }: Exchange): boolean {
  return ["1", "true"].includes(call.query.get("logs")?.toLowerCase() ?? "");
}
