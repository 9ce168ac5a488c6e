import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { headerOf, type WholeAnswer } from "./answer.ts";
import type { Clock } from "./clock.ts";
import type { DeliveryFault, FaultSource } from "./faults.ts";
import { type Job, whenDone } from "./job.ts";
import type { WebhookKey } from "./jwks.ts";
import type { Settings } from "./options.ts";
import { toPythonJson } from "./python-json.ts";

/** One try of bringing a result to a webhook. */
export interface RecordedDelivery {
  readonly requestId: string;
  readonly endpoint: string;
  readonly url: string;
  /** 1 for the first try. */
  readonly attempt: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** What the receiver answered; undefined when he gave no answer. */
  readonly status: number | undefined;
}

/** Brings results to webhooks. */
export interface Deliveries {
  readonly list: readonly RecordedDelivery[];
  /** Delivers the job's result when it is over, and again until it is taken. */
  schedule(job: Job, endpoint: string, url: string): void;
  clear(): void;
  /** Gives up whatever is under way. */
  reset(): void;
}

/** How long a receiver may take, in real milliseconds (fal docs, webhooks: 15 seconds). */
const patience = 15_000;
/** fal docs, webhooks: up to 10 more tries. */
const attempts = 11;
/** Milliseconds before scaling; doubled for each further try. The platform takes two hours for all of them. */
const [firstWait, longestWait] = [500, 60_000];
const kept = 1000;

export function createDeliveries(settings: Settings, clock: Clock, key: WebhookKey, faults: FaultSource): Deliveries {
  const list: RecordedDelivery[] = [];
  const stranger = generateKeyPairSync("ed25519").privateKey;
  let stop = new AbortController();

  async function run(job: Job, endpoint: string, url: string, signal: AbortSignal): Promise<void> {
    await whenDone(job, signal);
    const fault = faults.takeDelivery(job.app, endpoint) ?? {};
    if (fault.lost === true || job.answer === undefined) return;
    const body = bodyOf(job.id, job.answer);
    const copies = Array.from({ length: fault.copies ?? 1 }, () => bring({ job, endpoint, url, body, fault }, signal));
    await Promise.all(copies);
  }

  /** Tries until it is taken; a redirect is never followed. */
  async function bring(parcel: Parcel, signal: AbortSignal): Promise<void> {
    const { job, endpoint, url, fault } = parcel;
    for (let attempt = 1; attempt <= attempts && !signal.aborted; attempt += 1) {
      const headers = signedHeaders(parcel);
      const body = fault.reserialised === true ? JSON.stringify(JSON.parse(parcel.body)) : parcel.body;
      const status = await post(url, headers, body, signal);
      if (signal.aborted) return;
      list.push({ requestId: job.id, endpoint, url, attempt, headers, body, status });
      if (list.length > kept) list.shift();
      if (status !== undefined && status >= 200 && status < 400) return;
      await clock.sleep(Math.min(longestWait, firstWait * 2 ** (attempt - 1)), signal);
    }
  }

  function signedHeaders({ job, body, fault }: Parcel): Record<string, string> {
    const timestamp = String(Math.floor(clock.now() / 1000) - (fault.lateSeconds ?? 0));
    const userId = fault.account ?? settings.webhookUserId;
    const lines = [job.id, userId, timestamp, createHash("sha256").update(body).digest("hex")];
    const privateKey: KeyObject = fault.signature === "wrong" ? stranger : key.privateKey;
    return {
      "content-type": "application/json",
      "x-fal-webhook-request-id": job.id,
      "x-fal-webhook-user-id": userId,
      "x-fal-webhook-timestamp": timestamp,
      "x-fal-webhook-signature": sign(null, Buffer.from(lines.join("\n")), privateKey).toString("hex"),
    };
  }

  return {
    list,
    schedule(job, endpoint, url) {
      run(job, endpoint, url, stop.signal).catch(() => undefined); // given up
    },
    clear: () => void list.splice(0),
    reset() {
      stop.abort();
      stop = new AbortController();
    },
  };
}

interface Parcel {
  readonly job: Job;
  readonly endpoint: string;
  readonly url: string;
  readonly body: string;
  readonly fault: DeliveryFault;
}

async function post(
  url: string,
  headers: Record<string, string>,
  body: string,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
    const response = await fetch(url, { method: "POST", headers, body, redirect: "manual", signal: limit });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return undefined;
  }
}

/** The three forms (fal docs, webhooks): a result, an error with the body of its answer, and a result that JSON cannot hold. */
function bodyOf(requestId: string, answer: WholeAnswer): string {
  const payload = toJson(answer);
  const common = { request_id: requestId, gateway_request_id: requestId };
  const failed = payload === undefined ? { payload_error: "Response is not JSON serializable" } : {};
  const error = answer.status < 400 ? null : `Invalid status code: ${answer.status}`;
  const status = answer.status < 400 ? "OK" : "ERROR";
  return toPythonJson({ ...common, status, error, payload: payload ?? null, ...failed });
}

function toJson(answer: WholeAnswer): unknown {
  if (headerOf(answer.headers, "content-type")?.startsWith("application/json") !== true) return undefined;
  try {
    return JSON.parse(Buffer.from(answer.body).toString("utf8"));
  } catch {
    return undefined;
  }
}
