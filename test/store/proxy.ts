import { createServer } from "node:http";
import type { KeywayOptions, Store } from "@keyway/core";
import { createNodeProxy } from "@keyway/node";
import { type Upstream, listenOnFreePort, respond, startUpstream } from "../upstream.ts";

/** What one call came to, and how long it took. */
export interface Outcome {
  readonly status: number;
  readonly code: unknown;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly ms: number;
}

/** A whole Keyway on a store, with a queue behind it that says what it is told. */
export interface Proxy {
  readonly upstream: Upstream;
  /** State of every job. */
  state: "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";
  readonly submit: () => Promise<Outcome>;
  readonly poll: (id: unknown) => Promise<Outcome>;
  readonly result: (id: unknown) => Promise<Outcome>;
  readonly close: () => Promise<void>;
}

export async function startProxy(store: Store, more: Partial<KeywayOptions> = {}): Promise<Proxy> {
  const upstream = await startUpstream();
  let jobs = 0;
  upstream.answer(({ method, url, response, whole, socket }) => {
    // One connection carries hundreds of calls here.
    socket.setMaxListeners(0);
    whole.then(
      () => {
        const type = { "content-type": "application/json" };
        if (method === "POST") respond(response, 200, type, `{"request_id":"job-${(jobs += 1)}","status":"IN_QUEUE"}`);
        else if (url.includes("/status")) respond(response, 200, type, `{"status":"${proxy.state}"}`);
        else respond(response, 200, { ...type, "x-fal-billable-units": "1" }, '{"ok":true}');
      },
      () => undefined,
    );
  });
  const node = createNodeProxy({
    authorize: () => ({ id: "ann" }),
    endpoints: { "demo/**": { price: { perUnit: 0.01, reserveUnits: 2 } } },
    limits: { caller: { budget: { usd: 1000, per: "day" } } },
    publicUrl: "http://localhost/api/fal/proxy",
    store,
    upstream: upstream.option,
    ...more,
  });
  const server = createServer((request, response) => void node.handle(request, response));
  const port = await listenOnFreePort(server);

  async function call(method: "GET" | "POST", path: string): Promise<Outcome> {
    const started = performance.now();
    const answer = await fetch(`http://127.0.0.1:${port}/`, {
      method,
      headers: { "content-type": "application/json", "x-fal-target-url": `https://queue.fal.run${path}` },
      ...(method === "POST" ? { body: "{}" } : {}),
    });
    const body: unknown = await answer.json();
    const fields = { ...(body as object) } as Record<string, unknown>;
    return { status: answer.status, code: fields["code"], fields, ms: performance.now() - started };
  }

  const proxy: Proxy = {
    upstream,
    state: "IN_QUEUE",
    submit: () => call("POST", "/demo/echo"),
    poll: (id) => call("GET", `/demo/echo/requests/${String(id)}/status`),
    result: (id) => call("GET", `/demo/echo/requests/${String(id)}`),
    async close() {
      await node.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await upstream.close();
    },
  };
  return proxy;
}
