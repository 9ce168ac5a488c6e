import { createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { respond } from "../upstream.ts";
import { codeOf, submit } from "../conformance/stage.ts";
import { type Transport, get, guard, idIn, transports, urlsOf } from "./ground.ts";

/** A proxy whose upstream keeps a submit waiting until it is let go. */
async function slow(transport: Transport, options: Parameters<typeof guard>[0] = {}) {
  const { store = createMemoryStore() } = options;
  let marks = 0;
  const put: typeof store.put = async (...given) => {
    await store.put(...given);
    marks += 1;
  };
  const stage = await guard({ ...options, store: { ...store, put } }, transport);
  const gate = Promise.withResolvers<void>();
  stage.upstream.answer((arrival) => void gate.promise.then(() => stage.queue.script(arrival)));
  const ends = (): number => stage.events.filter(({ type }) => type === "call").length;
  return {
    ...stage,
    go: () => gate.resolve(),
    /** Submits, leaves when the submit has reached upstream, and waits until the proxy knows. */
    leave: async (target = submit, asked: Parameters<typeof stage.start>[1] = {}, known = true) => {
      const before = marks;
      const request = stage.start(target, asked);
      await stage.upstream.next();
      request.destroy();
      if (known) await expect.poll(() => marks).toBeGreaterThan(before);
    },
    ended: (calls: number) => expect.poll(ends).toBe(calls),
  };
}

const body = '{"prompt":"a cat"}';

describe.each(transports)("a submit whose caller left, over %s", (transport) => {
  it("is answered again: the same job, one upstream", async () => {
    const { leave, go, ended, ask, queue } = await slow(transport);
    await leave(submit, { body });
    go();
    await ended(1);
    const first = idIn(await ask(submit, { body }));
    expect(queue.jobs).toHaveLength(1);
    expect((await ask(urlsOf(first).status, get)).status).toBe(202);
    expect((await ask(urlsOf(first).status, { ...get, as: "bob" })).status).toBe(404);
    expect(idIn(await ask(submit, { body }))).toBe(first);
    expect(queue.jobs).toHaveLength(1);
  });

  it("is answered again where the app has webhooks, whose URL is another for each submit", async () => {
    const webhooks = { url: "https://app.example/webhook", onResult: () => undefined };
    const { leave, go, ended, ask, queue, upstream } = await slow(transport, { webhooks });
    await leave(submit, { body });
    go();
    await ended(1);
    expect(idIn(await ask(submit, { body }))).toContain(queue.jobs[0]?.id ?? "?");
    expect(queue.jobs).toHaveLength(1);
    expect(upstream.arrivals[0]?.url).toContain("fal_webhook=https%3A%2F%2Fapp.example%2Fwebhook");
  });

  it("is waited for when it is repeated before the answer is there", async () => {
    const { leave, go, ask, queue, upstream } = await slow(transport);
    await leave(submit, { body });
    const repeated = [ask(submit, { body }), ask(submit, { body })];
    go();
    const [first, second] = await Promise.all(repeated.map(async (answer) => idIn(await answer)));
    expect(first).toBe(second);
    expect(queue.jobs).toHaveLength(1);
    expect(upstream.arrivals).toHaveLength(1);
  });

  it.each<[string, string, { body?: string; as?: string }]>([
    ["another body", submit, { body: '{"prompt":"a dog"}' }],
    ["another endpoint", `${submit}/fast`, { body }],
    ["another query", `${submit}?fal_max_queue_length=5`, { body }],
    ["another caller", submit, { body, as: "bob" }],
  ])("%s is a new job", async (_name, target, asked) => {
    const { leave, go, ended, ask, queue } = await slow(transport);
    await leave(submit, { body });
    go();
    await ended(1);
    const id = idIn(await ask(target, asked));
    expect(queue.jobs).toHaveLength(2);
    expect(id.startsWith(queue.jobs[1]?.id ?? "?")).toBe(true);
  });

  it("keeps all of them when a page with five submits is closed", async () => {
    const store = createMemoryStore();
    const get: typeof store.get = async (key) => {
      const value = await store.get(key);
      await new Promise((resolve) => setImmediate(resolve));
      return value;
    };
    const { leave, go, ended, ask, queue } = await slow(transport, { store: { ...store, get } });
    const bodies = [1, 2, 3, 4, 5].map((n) => JSON.stringify({ n }));
    await Promise.all(bodies.map((one) => leave(submit, { body: one })));
    go();
    await ended(5);
    const ids = await Promise.all(bodies.map(async (one) => idIn(await ask(submit, { body: one }))));
    expect(new Set(ids).size).toBe(5);
    expect(queue.jobs).toHaveLength(5);
  });

  it("takes places and money once", async () => {
    const { leave, go, ended, ask, keyway } = await slow(transport, {
      endpoints: { "demo/*": { price: { perCall: 0.6 } } },
      limits: { caller: { budget: { usd: 1, per: "day" }, jobs: 1 } },
    });
    await leave(submit, { body });
    go();
    await ended(1);
    idIn(await ask(submit, { body }));
    expect(await keyway.usage("ada")).toMatchObject({ spent: 0, reserved: 0.6 });
  });

  it("that fal.ai refused is a new one when it is repeated", async () => {
    const { leave, ended, ask, upstream, queue } = await slow(transport);
    const refusal = Promise.withResolvers<void>();
    upstream.answer(({ response }) => void refusal.promise.then(() => respond(response, 422, {}, "{}")));
    await leave(submit, { body });
    refusal.resolve();
    await ended(1);
    upstream.answer(queue.script);
    idIn(await ask(submit, { body }));
    expect(queue.jobs).toHaveLength(1);
  });

  it("that fal.ai did not answer may have run: the repeat is told so at once, and not sent", async () => {
    const { leave, ended, ask, upstream } = await slow(transport);
    const broken = Promise.withResolvers<void>();
    upstream.answer(({ socket }) => void broken.promise.then(() => socket.resetAndDestroy()));
    await leave(submit, { body });
    broken.resolve();
    await ended(1);
    const refused = await ask(submit, { body });
    expect([refused.status, codeOf(refused)]).toEqual([500, "upstream_unanswered"]);
    expect(upstream.arrivals).toHaveLength(1);
  });

  it("is known by its Idempotency-Key, whatever the body", async () => {
    const headers = [["idempotency-key", "7f9c"]] as const;
    const { leave, go, ended, ask, queue, upstream } = await slow(transport);
    await leave(submit, { body, headers });
    go();
    await ended(1);
    const first = idIn(await ask(submit, { body: '{"prompt":"a cat","seed":1}', headers }));
    expect(queue.jobs).toHaveLength(1);
    expect(idIn(await ask(submit, { body, headers: [["idempotency-key", "another"]] }))).not.toBe(first);
    expect(queue.jobs).toHaveLength(2);
    expect(upstream.arrivals.map(({ values }) => values("idempotency-key"))).toEqual([[], []]);
  });

  it("beyond 64 KB is known by its Idempotency-Key alone", async () => {
    const large = JSON.stringify({ prompt: "x".repeat(70_000) });
    const keyed = await slow(transport);
    const headers = [["idempotency-key", "7f9c"]] as const;
    await keyed.leave(submit, { body: large, headers });
    keyed.go();
    await keyed.ended(1);
    idIn(await keyed.ask(submit, { body: large, headers }));
    expect(keyed.queue.jobs).toHaveLength(1);
    const bare = await slow(transport);
    await bare.leave(submit, { body: large }, false);
    bare.go();
    await bare.ended(1);
    idIn(await bare.ask(submit, { body: large }));
    expect(bare.queue.jobs).toHaveLength(2);
  });
});

describe("what is kept", () => {
  it("is forgotten after 60 s", async () => {
    const clock = { ms: Date.now() - 3_600_000 };
    const store = createMemoryStore({ now: () => clock.ms });
    const { leave, go, ended, ask, queue } = await slow("node", { store });
    await leave(submit, { body });
    go();
    await ended(1);
    clock.ms += 59_000;
    idIn(await ask(submit, { body }));
    expect(queue.jobs).toHaveLength(1);
    clock.ms += 2000;
    idIn(await ask(submit, { body }));
    expect(queue.jobs).toHaveLength(2);
  });

  it("is nothing for a caller who got his answer: the same prompt again is a new job", async () => {
    const { ask, queue } = await guard();
    const ids = [idIn(await ask(submit, { body })), idIn(await ask(submit, { body }))];
    expect(new Set(ids).size).toBe(2);
    expect(queue.jobs).toHaveLength(2);
  });

  it("works where an input rule reads the body", async () => {
    const { leave, go, ended, ask, queue } = await slow("node", { endpoints: { "demo/*": { input: () => true } } });
    await leave(submit, { body });
    go();
    await ended(1);
    idIn(await ask(submit, { body }));
    expect(queue.jobs).toHaveLength(1);
  });
});
