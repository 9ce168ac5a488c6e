import { createRedisStore } from "@keyway/redis";
import { expect, it, onTestFinished, vi } from "vitest";
import { within } from "../conformance/behaviours/leaving.ts";
import { node } from "../conformance/mounts/node.ts";
import { run, stage, stream } from "../conformance/stage.ts";
import { type Shim, startShim } from "../shim.ts";
import { respond } from "../upstream.ts";
import { clientNames, freshNamespace, openClient, sharedRedis } from "./clients.ts";

const faults: readonly (readonly [name: string, strike: (shim: Shim) => void])[] = [
  ["is cut", (shim) => shim.cut(true)],
  ["is late", (shim) => void (shim.answers = { latency: 600 })],
  ["says nothing", (shim) => void (shim.answers = { silent: true })],
];

const cases = clientNames.flatMap((client) => faults.map(([name, strike]) => ({ client, name, strike })));
const places = 20;

it.each(cases)(
  "F34 the callers leave while Redis $name, by $client: upstream is free within two seconds, and every place in the end",
  async ({ client: clientName, strike }) => {
    const shim = await startShim(sharedRedis());
    const { client, close } = openClient(clientName, shim.port);
    onTestFinished(async () => {
      close();
      await shim.close();
    });
    const { upstream, open, start, ask } = await stage(node, {
      store: createRedisStore({ client, namespace: freshNamespace() }),
      limits: { caller: { streams: places } },
      timeouts: { openLease: 3000 },
    });
    upstream.answer(({ response, url }) => {
      if (!url.endsWith("/stream")) return;
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const listening = await Promise.all(Array.from({ length: places }, () => open(stream)));
    expect(listening.map(({ status }) => status)).toEqual(listening.map(() => 200));
    const waiting = Array.from({ length: 5 }, () => start(run));
    await vi.waitFor(() => expect(upstream.arrivals).toHaveLength(places + waiting.length));
    strike(shim);
    for (const caller of listening) caller.leave();
    for (const request of waiting) request.destroy();
    expect(await within(Promise.all(upstream.arrivals.map(({ closed }) => closed)))).toBe(true);
    shim.cut(false);
    shim.answers = {};
    upstream.answer(({ response, whole }) => void whole.then(() => respond(response, 200, {}, "data: 1\n\n")));
    const admitted = async (): Promise<void> => {
      const answers = await Promise.all(Array.from({ length: places }, () => ask(stream)));
      expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    };
    await vi.waitFor(admitted, { timeout: 12_000, interval: 300 });
  },
);
