import { createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { submit } from "../conformance/stage.ts";
import { type Guarded, type Transport, get, guard, idIn, put, transports, urlsOf } from "./ground.ts";

/** Cancels what nobody has asked about for a second. */
function leaving(transport: Transport, options: Parameters<typeof guard>[0] = {}): Promise<Guarded> {
  return guard({ abandoned: "cancel", timeouts: { abandoned: 1000 }, ...options }, transport);
}

function cancelsIn({ upstream }: Guarded): number {
  return upstream.arrivals.filter(({ method }) => method === "PUT").length;
}

/** Waits until another job that is left alone was cancelled: what has not been cancelled by then, is not. */
async function aWhile(stage: Guarded): Promise<void> {
  for (let time = 0; time < 2; time += 1) {
    const cancelled = stage.queue.nextCancel();
    await stage.ask(submit, { as: "eve" });
    await cancelled;
  }
}

describe.each(transports)('abandoned: "cancel" over %s', (transport) => {
  it("a job whose caller left and never asks is cancelled, once, with the app's key", async () => {
    const stage = await leaving(transport);
    const { ask, queue, upstream } = stage;
    const cancelled = queue.nextCancel();
    const id = idIn(await ask(submit));
    await ask(urlsOf(id).status, get);
    expect(await cancelled).toBe(queue.jobs[0]);
    await aWhile(stage);
    expect(queue.jobs[0]?.cancels).toBe(1);
    const cancel = upstream.arrivals.find(({ method }) => method === "PUT");
    expect(cancel?.values("authorization")).toEqual([`Key ${upstream.option.key}`]);
  });

  it("ids that nobody was given are neither followed nor cancelled, where callers name fal's own", async () => {
    const stage = await leaving(transport, { ownership: "app" });
    for (let index = 0; index < 20; index += 1) await stage.ask(urlsOf(`invented-${index}`).status, get);
    await aWhile(stage);
    const cancels = stage.upstream.arrivals.filter(({ method }) => method === "PUT");
    expect(cancels.filter(({ url }) => url.includes("invented"))).toEqual([]);
  });

  it("a job goes on whose result is delivered, and one that the app submitted, though their callers asked and left", async () => {
    const webhooks = { url: "https://app.example/api/fal/webhook", onResult: () => undefined };
    const delivering = await leaving(transport, { webhooks });
    await delivering.ask(urlsOf(idIn(await delivering.ask(submit))).status, get);
    const stage = await leaving(transport);
    const { request_id: own } = await stage.keyway.submitFor({ id: "ada" }, "fal-ai/flux/dev", { input: {} });
    await stage.ask(urlsOf(own).status, get);
    await aWhile(stage);
    expect([delivering.queue.jobs[0]?.cancels, stage.queue.jobs[0]?.cancels]).toEqual([0, 0]);
  });

  it("a job that is polled is left alone, also one that is only listened to, and one whose result is asked for", async () => {
    const stage = await leaving(transport);
    const { ask, open, queue } = stage;
    const [polled, heard, fetched] = [idIn(await ask(submit)), idIn(await ask(submit)), idIn(await ask(submit))];
    const listening = await open(urlsOf(heard).stream, get);
    let going = true;
    const polling = (async () => {
      while (going) {
        await ask(urlsOf(polled).status, get);
        await ask(urlsOf(fetched).result, get);
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
    })();
    await aWhile(stage);
    going = false;
    await polling;
    expect(queue.jobs.slice(0, 3).map(({ cancels }) => cancels)).toEqual([0, 0, 0]);
    const cancelled = queue.nextCancel();
    listening.leave();
    await cancelled;
  });

  it("a job that is over is left alone, however often its status was read, and one that its caller cancelled", async () => {
    const stage = await leaving(transport);
    const { ask, queue } = stage;
    const [done, cancelled, read] = [idIn(await ask(submit)), idIn(await ask(submit)), idIn(await ask(submit))];
    for (const job of [0, 2]) Object.assign(queue.jobs[job] ?? {}, { state: "COMPLETED" });
    for (let time = 0; time < 3; time += 1) await ask(urlsOf(read).status, get);
    for (let time = 0; time < 3; time += 1) await ask(urlsOf(done).status, get);
    await ask(urlsOf(done).result, get);
    await ask(urlsOf(done).result, { method: "HEAD" });
    await ask(urlsOf(cancelled).cancel, put);
    await aWhile(stage);
    expect(queue.jobs.slice(0, 3).map(({ cancels }) => cancels)).toEqual([0, 1, 0]);
  });

  it("a job whose caller left during the submit is cancelled", async () => {
    const { start, queue, upstream } = await leaving(transport);
    const gate = Promise.withResolvers<void>();
    upstream.answer((arrival) => void gate.promise.then(() => queue.script(arrival)));
    const request = start(submit);
    await upstream.next();
    request.destroy();
    const cancelled = queue.nextCancel();
    gate.resolve();
    expect((await cancelled).cancels).toBe(1);
  });
});

it("two processes on one store cancel once, and a read in one keeps a job of the other", async () => {
  const store = createMemoryStore();
  const secret = "one secret for both of them";
  const namespace = "shared";
  const one = await leaving("node", { store, secret, namespace });
  const two = await leaving("node", { store, secret, namespace, upstream: one.upstream.option });
  const [kept, left] = [idIn(await one.ask(submit)), idIn(await one.ask(submit))];
  await two.ask(urlsOf(left).status, get);
  let going = true;
  const polling = (async () => {
    while (going) {
      await two.ask(urlsOf(kept).status, get);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  })();
  await aWhile(one);
  await aWhile(one);
  going = false;
  await polling;
  expect(one.queue.jobs.slice(0, 2).map(({ cancels }) => cancels)).toEqual([0, 1]);
});

it("without the option nothing is cancelled", async () => {
  const stage = await guard({ timeouts: { abandoned: 60 } });
  await stage.ask(submit);
  const other = await leaving("node", { upstream: stage.upstream.option });
  await other.ask(submit, { as: "eve" });
  await stage.queue.nextCancel();
  expect(stage.queue.jobs[0]?.cancels).toBe(0);
  expect(cancelsIn(stage)).toBe(1);
});
