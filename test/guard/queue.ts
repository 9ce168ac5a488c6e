import { type Arrival, type Script, respond } from "../upstream.ts";

/** A job, as the test wants it to be. */
export interface Job {
  readonly id: string;
  /** `owner/alias`. */
  readonly app: string;
  readonly body: string;
  state: "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";
  /** Status of its result. */
  status: number;
  units: string | undefined;
  seconds: number | undefined;
  /** What it has logged. */
  logs: string | undefined;
  cancels: number;
}

/** What fal.ai's queue and runs answer (fal docs, queue), with every job's fate in the test's hands. */
export interface Queue {
  readonly script: Script;
  /** Oldest first. */
  readonly jobs: readonly Job[];
  /** Units of runs and of jobs from now on. */
  units: string | undefined;
  /** Resolves with the job that is cancelled next. */
  readonly nextCancel: () => Promise<Job>;
}

const json = { "content-type": "application/json" };

export function createQueue(): Queue {
  const jobs: Job[] = [];
  const waiting: ((job: Job) => void)[] = [];

  function submit(path: string, body: string): Job {
    const id = `019e161b-0000-7000-8000-${String(jobs.length + 1).padStart(12, "0")}`;
    const app = path.split("/").slice(2, 4).join("/");
    const { units } = queue;
    const job: Job = {
      id,
      app,
      body,
      state: "IN_QUEUE",
      status: 200,
      units,
      seconds: undefined,
      logs: undefined,
      cancels: 0,
    };
    jobs.push(job);
    return job;
  }

  function cancel(job: Job): [number, object] {
    job.cancels += 1;
    for (const take of waiting.splice(0)) take(job);
    if (job.state === "COMPLETED") return [400, { status: "ALREADY_COMPLETED" }];
    Object.assign(job, { state: "COMPLETED", status: 499 });
    return [202, { status: "CANCELLATION_REQUESTED" }];
  }

  async function answer(arrival: Arrival): Promise<void> {
    const { method, response } = arrival;
    const body = (await arrival.whole).toString();
    const [path = ""] = arrival.url.split("?");
    const say = (status: number, fields: object, headers = {}): void =>
      respond(response, status, { ...json, ...headers }, method === "HEAD" ? "" : JSON.stringify(fields));
    if (path.startsWith("/fal.run/")) return say(200, { ok: true }, unitsHeader(queue.units));
    if (method === "POST") return say(200, fieldsOf(submit(path, body)));
    const [, id, verb] = /\/requests\/([^/]+)(?:\/(.+))?$/.exec(path) ?? [];
    const job = jobs.find((one) => one.id === id);
    if (job === undefined) return say(404, { status: "NOT_FOUND" });
    if (verb === "cancel") return say(...cancel(job));
    if (verb === "status") return say(job.state === "COMPLETED" ? 200 : 202, fieldsOf(job));
    if (verb === "status/stream") {
      response
        .writeHead(200, { "content-type": "text/event-stream" })
        .write(`data: ${JSON.stringify(fieldsOf(job))}\n\n`);
      if (job.state === "COMPLETED") response.end();
      return;
    }
    if (job.state !== "COMPLETED") return say(400, { detail: "Request is still in progress" });
    return say(job.status, { ok: true }, unitsHeader(job.units));
  }

  const queue: Queue = {
    script: (arrival) => void answer(arrival).catch(() => undefined),
    jobs,
    units: undefined,
    nextCancel: () => new Promise((resolve) => waiting.push(resolve)),
  };
  return queue;
}

function unitsHeader(units: string | undefined): Record<string, string> {
  return units === undefined ? {} : { "x-fal-billable-units": units };
}

function fieldsOf({ id, app, state, seconds, logs, status }: Job): object {
  const url = `https://queue.fal.run/${app}/requests/${id}`;
  return {
    status: state,
    request_id: id,
    response_url: url,
    status_url: `${url}/status`,
    cancel_url: `${url}/cancel`,
    logs: logs === undefined ? null : [{ message: logs, level: "INFO" }],
    metrics: seconds === undefined ? {} : { inference_time: seconds },
    ...(state === "COMPLETED" && status >= 400 && { error: "it failed" }),
  };
}
