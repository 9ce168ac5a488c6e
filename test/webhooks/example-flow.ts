import { createFalClient } from "@fal-ai/client";
import type { Emulator } from "@keyway/emulator";
import { expect, vi } from "vitest";

/** A running example, and somebody who is signed in there as ada. */
export interface RunningExample {
  readonly emulator: Emulator;
  readonly origin: string;
  readonly cookie: string;
  /** All that it has printed. */
  readonly said: () => string;
}

/** Submits by the official client; 100 copies of the delivery must reach the app's handler once, with the right caller and id. */
export async function tryWebhook({ emulator, origin, cookie, said }: RunningExample): Promise<void> {
  const fal = createFalClient({
    proxyUrl: { url: `${origin}/api/fal/proxy`, when: "always" },
    requestMiddleware: async (request) => ({ ...request, headers: { ...request.headers, cookie, origin } }),
  });
  emulator.faults.add({ delivery: { copies: 100 } });
  const { request_id: id } = await fal.queue.submit("demo/echo", { input: { a: 1 } });
  const mine = () => emulator.deliveries.filter(({ requestId }) => id.startsWith(requestId));
  await vi.waitFor(() => expect(mine()).toHaveLength(100), { timeout: 15_000 });
  expect(new Set(mine().map(({ status }) => status))).toEqual(new Set([200]));
  const line = `ada's job ${id} of demo/echo is over: OK`;
  await vi.waitFor(() => expect(said()).toContain(line), { timeout: 15_000 });
  expect(said().split(line)).toHaveLength(2);
  const answer = await fetch(`${origin}/api/fal/proxy/~keyway/jobs`, { headers: { cookie, "x-keyway-client": "1" } });
  const { jobs } = (await answer.json()) as { jobs: { requestId: string; status: string }[] };
  expect(jobs.find(({ requestId }) => requestId === id)?.status).toBe("OK");
  const [sent] = mine();
  const forged = await fetch(`${origin}/api/fal/webhook${new URL(sent?.url ?? "").search}`, {
    method: "POST",
    headers: { ...sent?.headers },
    body: JSON.stringify(JSON.parse(sent?.body ?? "")),
  });
  expect(forged.status).toBe(401);
}
