import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import {
  type Keyway,
  type KeywayOptions,
  type ObserveEvent,
  type ResultEvent,
  createKeyway,
  createMemoryStore,
} from "@keyway/core";
import { type Emulator, type EmulatorOptions, createEmulator } from "@keyway/emulator";
import { createHandler } from "@keyway/express";
import express, { type RequestHandler } from "express";
import { vi } from "vitest";

/** What a stage is made of beside the usual. */
export interface StageOptions {
  readonly keyway?: Partial<KeywayOptions>;
  readonly webhooks?: Partial<NonNullable<KeywayOptions["webhooks"]>>;
  readonly emulator?: EmulatorOptions;
  /** Runs before the webhook door. */
  readonly before?: RequestHandler;
}

/** An Express app with Keyway before an emulator, and all that it was told. */
export interface Stage {
  readonly url: string;
  readonly emulator: Emulator;
  readonly emulatorUrl: string;
  readonly keyway: Keyway;
  readonly events: readonly ResultEvent[];
  readonly observed: readonly ObserveEvent[];
  /** Submits in a caller's name; answers the id that he holds. */
  submit(app: string, input?: unknown, more?: { user?: string; query?: string }): Promise<string>;
  /** The next event, which must come. */
  event(count?: number): Promise<ResultEvent>;
  /** Posts to the webhook door of the app, as fal does. */
  post(
    headers: Record<string, string>,
    body: string | Uint8Array,
    query?: string,
  ): Promise<{ status: number; text: string }>;
  get(path: string, user?: string): Promise<Response>;
  close(): Promise<void>;
}

export async function createStage({
  keyway: more,
  webhooks,
  emulator: given,
  before,
}: StageOptions = {}): Promise<Stage> {
  const emulator = createEmulator({ timeScale: 0, ...given });
  const upstream = { url: (await emulator.listen()).url, key: "emulator" };
  const events: ResultEvent[] = [];
  const observed: ObserveEvent[] = [];
  const keyway = createKeyway({
    authorize: ({ headers }) => ({ id: headers.get("x-user") ?? "ann" }),
    endpoints: ["demo/**", "me/**"],
    secret: "a secret of these tests",
    observe: (event) => observed.push(event),
    upstream,
    store: createMemoryStore(),
    webhooks: { onResult: (event) => void events.push(event), ...webhooks },
    ...more,
  });
  const proxy = createHandler(keyway);
  const app = express();
  app.use("/api/fal/proxy", proxy);
  if (before !== undefined) app.use(before);
  app.all("/api/fal/webhook", proxy.webhook);
  const server = createServer(app);
  const url = await listen(server);
  const target = (path: string): string => `https://queue.fal.run/${path}`;

  return {
    url,
    emulator,
    emulatorUrl: upstream.url,
    keyway,
    events,
    observed,
    async submit(name, input = {}, { user = "ann", query = "" } = {}) {
      const headers = { "x-user": user, "content-type": "application/json", "x-fal-target-url": target(name) + query };
      const response = await fetch(`${url}/api/fal/proxy`, { method: "POST", headers, body: JSON.stringify(input) });
      const { request_id: id } = (await response.json()) as { request_id?: string };
      if (id === undefined) throw new Error(`the submit was answered ${response.status}`);
      return id;
    },
    async event(count = 1) {
      return vi.waitFor(
        () => {
          const event = events[count - 1];
          if (event === undefined) throw new Error(`there are ${events.length} events`);
          return event;
        },
        { timeout: 15_000, interval: 10 },
      );
    },
    async post(headers, body, query = "") {
      const response = await fetch(`${url}/api/fal/webhook${query}`, {
        method: "POST",
        headers,
        body: body as BodyInit,
      });
      return { status: response.status, text: await response.text() };
    },
    get: (path, user = "ann") => fetch(url + path, { headers: { "x-user": user } }),
    async close() {
      await proxy.close();
      await keyway.close();
      await emulator.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
