import { setTimeout as pause } from "node:timers/promises";
import { createSigner } from "../webhooks/signer.ts";
import { type Arrival, respond } from "../upstream.ts";

/** Jobs whose results are posted, each one twice, and signed by a key that changes on the way. */
export interface Webhooks {
  /** Answers what belongs to it; false for everything else. */
  answer(arrival: Arrival): boolean;
  /** fal signs with another key from now on. */
  rotate(): void;
  /** Submits one job after the other until the load is over. */
  submitTo(origin: string, over: AbortSignal): Promise<void>;
  readonly tally: { submitted: number; believed: number; refused: number };
  /** Deliveries that nobody believed, however often they were repeated. */
  readonly lost: readonly string[];
}

/** fal repeats a delivery that is not answered with 200. The key set is fetched at most once in 30 seconds. */
const tries = 30;
const again = 2000;

export function createWebhooks(): Webhooks {
  let signer = createSigner();
  const tally = { submitted: 0, believed: 0, refused: 0 };
  const lost: string[] = [];
  const deliveries: Promise<void>[] = [];
  let origin = "";
  let at = 0;

  async function deliver(search: string, requestId: string): Promise<void> {
    const body = Buffer.from(JSON.stringify({ request_id: requestId, status: "OK", payload: { at } }));
    for (let left = tries; left > 0; left -= 1) {
      const headers = { "content-type": "application/json", ...signer.headers(body, { requestId }) };
      const { status } = await fetch(`${origin}/api/fal/webhook${search}`, { method: "POST", headers, body });
      if (status === 200) return void (tally.believed += 1);
      tally.refused += 1;
      await pause(again);
    }
    lost.push(requestId);
  }

  return {
    tally,
    lost,
    rotate: () => {
      signer = createSigner();
    },
    answer({ url, response, whole }) {
      if (url.endsWith("/.well-known/jwks.json")) {
        respond(response, 200, { "content-type": "application/json" }, JSON.stringify(signer.jwks));
        return true;
      }
      const target = new URLSearchParams(url.slice(url.indexOf("?"))).get("fal_webhook");
      if (target === null) return false;
      const requestId = crypto.randomUUID();
      const { search } = new URL(target);
      whole.then(
        () => {
          respond(response, 200, { "content-type": "application/json" }, JSON.stringify({ request_id: requestId }));
          deliveries.push(
            pause(100).then(() => deliver(search, requestId)),
            pause(1500).then(() => deliver(search, requestId)),
          );
        },
        () => undefined,
      );
      return true;
    },
    async submitTo(given, over) {
      origin = given;
      for (; !over.aborted; at += 1) {
        const headers = {
          authorization: `Bearer caller-${at % 10}`,
          "content-type": "application/json",
          "x-fal-target-url": "https://queue.fal.run/demo/echo",
        };
        const answer = await fetch(`${origin}/api/fal/proxy`, { method: "POST", headers, body: "{}" });
        await answer.arrayBuffer();
        if (answer.status === 200) tally.submitted += 1;
        await pause(1000, undefined, { signal: over }).catch(() => undefined);
      }
      await Promise.all(deliveries);
    },
  };
}
