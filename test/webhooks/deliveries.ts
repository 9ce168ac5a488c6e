import type { DeliveryEvent } from "@keyway/core";
import { onTestFinished, vi } from "vitest";
import { createWebhookKey } from "../../packages/emulator/src/jwks.ts";
import { createSigner } from "./signer.ts";
import { type Stage, type StageOptions, createStage } from "./stage.ts";

/** With this seed the emulator signs by the key of {@link signer}. */
export const seed = "deliveries of these tests";
export const signer = createSigner(createWebhookKey(seed).privateKey);
/** What a delivery that needs nothing more is answered, whatever it was. */
export const taken = { status: 200, text: '{"received":true}' };

/** A stage that is taken down when the test is over. */
export async function bringUp(options: StageOptions = {}): Promise<Stage> {
  const stage = await createStage(options);
  onTestFinished(() => stage.close());
  return stage;
}

export function told({ observed }: Stage): readonly DeliveryEvent[] {
  return observed.filter((event) => event.type === "delivery");
}

export function reasons(stage: Stage): readonly unknown[] {
  return told(stage).map(({ outcome, reason, status }) => [outcome, reason, status]);
}

/** What the log of errors would say. */
export function unlogged() {
  const log = vi.spyOn(console, "error").mockImplementation(() => undefined);
  onTestFinished(() => log.mockRestore());
  return log;
}

/** Asks again until the check holds. */
export function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 15_000, interval: 10 });
}

export function falIdOf(sealed: string): string {
  return sealed.slice(0, -23);
}

export function bodyOf(sealed: string, fields: object): Uint8Array {
  return Buffer.from(JSON.stringify({ request_id: falIdOf(sealed), gateway_request_id: falIdOf(sealed), ...fields }));
}

/** The query of the webhook URL that the last submit gave fal. */
export function queryOf({ emulator }: Stage): string {
  const last = emulator.calls.findLast(({ kind }) => kind === "submit");
  const url = new URL(last?.url ?? "", "http://x").searchParams.get("fal_webhook") ?? "";
  return new URL(url).search;
}
