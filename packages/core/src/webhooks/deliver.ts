import { ProxyError } from "../errors.ts";
import { pendingList } from "../job-index.ts";
import { type JobNote, type JobOrigin, jobKey, nameOf } from "../job.ts";
import type { Settings } from "../options.ts";
import { storeKey } from "../store-keys.ts";
import { appOf } from "../call.ts";
import type { Result, ResultEvent } from "./event.ts";
import type { Webhooks } from "./option.ts";

/** A job's result on its way to the app. */
export interface Delivery {
  readonly falRequestId: string;
  readonly gatewayRequestId: string;
  readonly result: Result;
  /** Undefined for a job of elsewhere. */
  readonly origin: JobOrigin | undefined;
  /** Charges the job and learns its units. Called by whoever tells the app, before he does. */
  readonly settle: () => Promise<number | undefined>;
}

/** How long a handler may take before it is taken for dead, and its delivery may be handled again. Milliseconds. */
const handlerLease = 10 * 60_000;
const told: readonly string[] = ["OK", "ERROR"] satisfies Result["status"][];
const lookEvery = 100;

/**
 * Tells the app, once in all processes that share the store. Waits up to `patience` milliseconds for another one that is at it:
 * `busy` when it still is. A handler that throws leaves the delivery to be made again. What comes after the first is `replayed`, or
 * `contradicted` when it says that the job came out otherwise: deliveries are told apart by their request id alone (fal docs, webhooks).
 */
export async function deliver(
  delivery: Delivery,
  patience: number,
  webhooks: Webhooks,
  settings: Settings,
): Promise<"handled" | "replayed" | "contradicted" | "busy"> {
  const { status } = delivery.result;
  const name = await settings.hashes.once(`delivery ${delivery.falRequestId}`);
  const key = storeKey("delivery", name);
  const claimed = await claim(key, patience, settings);
  if (claimed === status) {
    await keepState(delivery, settings);
    return "replayed";
  }
  if (claimed !== "ours") return claimed === "busy" ? "busy" : "contradicted";
  try {
    await webhooks.onResult(await toEvent(delivery, settings));
  } catch (cause) {
    await giveBack(key, settings);
    throw new ProxyError("webhook_failed", {
      cause,
      log: "webhooks.onResult failed; the result will be delivered again",
    });
  }
  // It is told: whatever fails now must not make it told again.
  try {
    await settings.askStore((store) => store.put(key, status, settings.timeouts.jobLease, true));
    await keepState(delivery, settings);
  } catch (cause) {
    settings.log.error("a delivery could not be noted as done; it may be told again", cause);
  }
  return "handled";
}

/** Answers the status that the app was told, when it was. */
async function claim(key: string, patience: number, settings: Settings): Promise<string> {
  const until = settings.now() + patience;
  for (;;) {
    if (await settings.askStore((store) => store.claim(key, handlerLease))) return "ours";
    const known = await settings.askStore((store) => store.get(key));
    if (known !== null && told.includes(known)) return known;
    if (settings.now() >= until) return "busy";
    await new Promise((resolve) => {
      setTimeout(resolve, lookEvery);
    });
  }
}

async function toEvent(delivery: Delivery, settings: Settings): Promise<ResultEvent> {
  const { falRequestId, gatewayRequestId, result, origin } = delivery;
  const units = await delivery.settle();
  return {
    requestId: origin === undefined ? falRequestId : await heldId(falRequestId, origin, settings),
    falRequestId,
    gatewayRequestId,
    caller: origin && nameOf(origin),
    endpoint: origin?.endpoint,
    submittedAt: origin?.at,
    units,
    ...result,
  };
}

/** Fal may deliver again at once; where the store is away, when the claim is over. */
async function giveBack(key: string, settings: Settings): Promise<void> {
  try {
    await settings.askStore((store) => store.remove(key));
  } catch (cause) {
    settings.log.error("a delivery could not be given back; it is taken again when its claim is over", cause);
  }
}

/** The id by which the caller knows a job. */
export async function heldId(falRequestId: string, origin: JobOrigin, settings: Settings): Promise<string> {
  if (!origin.owned) return falRequestId;
  return settings.sealer.seal({ caller: origin.caller, app: appOf(origin.endpoint), requestId: falRequestId });
}

/** The job is no longer waited for, and its caller's list says how it came out. */
async function keepState({ falRequestId: id, origin, result }: Delivery, settings: Settings): Promise<void> {
  if (origin === undefined) return;
  const note: JobNote = { id, app: appOf(origin.endpoint), ...origin, state: result.status };
  const [job, pending] = [await jobKey(id, settings), await pendingList(settings)];
  await settings.askStore((store) => store.mark(job, JSON.stringify(note), settings.timeouts.jobLease, [pending]));
}
