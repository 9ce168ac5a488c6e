import { createKeyway, createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { type Script, respond } from "../upstream.ts";
import { byName, codeOf, submit } from "../conformance/stage.ts";
import { send } from "../wire.ts";
import { type Transport, get, guard, idIn, put, read, transports, urlsOf } from "./ground.ts";

async function owned(transport: Transport, options: Parameters<typeof guard>[0] = {}) {
  const stage = await guard(options, transport);
  const id = idIn(await stage.ask(submit));
  const falRequestId = stage.queue.jobs[0]?.id ?? "";
  return { ...stage, id, falRequestId, urls: urlsOf(id), sent: () => stage.upstream.arrivals.length - 1 };
}

describe.each(transports)("a job over %s", (transport) => {
  it("A05–A09: does not exist for another caller, in the same words as a job that never was", async () => {
    const { ask, urls, sent } = await owned(transport);
    const never = urlsOf(`019e161b-0000-7000-8000-000000000099.${"A".repeat(22)}`);
    const unknown = await ask(never.status, { ...get, as: "bob" });
    expect([unknown.status, codeOf(unknown)]).toEqual([404, "not_found"]);
    for (const [url, how] of [
      [urls.status, get],
      [urls.result, get],
      [urls.cancel, put],
      [urls.stream, get],
      [`${urls.result}/response`, get],
    ] as const) {
      const answer = await ask(url, { ...how, as: "bob" });
      expect([answer.status, answer.body.toString()]).toEqual([404, unknown.body.toString()]);
    }
    expect(sent()).toBe(0);
  });

  it("A05: is opened neither by a remembered seal of its owner, nor under another app", async () => {
    const { ask, id, urls, sent } = await owned(transport);
    expect((await ask(urls.status, get)).status).toBe(202);
    expect((await ask(urls.status, get)).status).toBe(202);
    expect((await ask(urls.status, { ...get, as: "bob" })).status).toBe(404);
    expect((await ask(urlsOf(id, "demo/other").status, get)).status).toBe(404);
    expect(sent()).toBe(2);
  });

  it("A09, A11: unknown, unsealed, in another case, padded, cut and overlong ids", async () => {
    const { ask, id, falRequestId, sent } = await owned(transport);
    const names = [
      falRequestId,
      id.toUpperCase(),
      `${id}%20`,
      `${id} `,
      `${id}.`,
      id.slice(0, -1),
      id.slice(1),
      "x".repeat(10_240),
      `${falRequestId}.${"A".repeat(22)}`,
      "..",
    ];
    for (const name of names) expect([400, 404]).toContain((await ask(urlsOf(name).status, get)).status);
    expect(sent()).toBe(0);
  });

  it("A10: dot segments and encoded slashes around the id", async () => {
    const { ask, id, sent } = await owned(transport);
    const requests = "https://queue.fal.run/demo/echo/requests";
    for (const path of [`${id}/../OTHER/status`, `${id}%2f../status`, `${id}%2F..%2Fx`, `%2e%2e/${id}/status`])
      expect((await ask(`${requests}/${path}`, get)).status).toBe(400);
    expect(sent()).toBe(0);
  });

  it("A12: a status_url on another host is not followed, and the caller's polls go where they always do", async () => {
    const { upstream, ask, queue } = await guard({}, transport);
    const elsewhere = "https://evil.example/steal";
    const script: Script = ({ method, response, url }) => {
      const id = "019e161b-0000-7000-8000-000000000001";
      const fields = { request_id: id, status_url: elsewhere, response_url: elsewhere, cancel_url: elsewhere };
      if (method === "POST")
        return respond(response, 200, { "content-type": "application/json" }, JSON.stringify(fields));
      respond(response, 202, {}, JSON.stringify({ status: "IN_QUEUE", seen: url }));
    };
    upstream.answer(script);
    const id = idIn(await ask(submit));
    expect((await ask(elsewhere, get)).status).toBe(400);
    const seen = read(await ask(urlsOf(id).status, get))["seen"];
    expect(seen).toMatch(/^\/queue\.fal\.run\/demo\/echo\/requests\//);
    expect(queue.jobs).toHaveLength(0);
  });

  it("in path form, A12: the URLs in the answer are ours, whatever upstream says", async () => {
    const { upstream, mounted, askPath } = await guard({}, transport);
    upstream.answer(({ response }) => {
      const fields = { request_id: "019e161b-0000-7000-8000-000000000001", status_url: "https://evil.example/steal" };
      respond(response, 200, { "content-type": "application/json" }, JSON.stringify(fields));
    });
    const answer = await askPath(submit);
    expect(read(answer)["status_url"]).toBe(`${mounted.url}/queue.fal.run/demo/echo/requests/${idIn(answer)}/status`);
  });

  it("A13: needs no store to be polled, and a store that is down submits nothing", async () => {
    const down = new Error("down");
    const store = createMemoryStore();
    let broken = false;
    const admit: typeof store.admit = (admission) => (broken ? Promise.reject(down) : store.admit(admission));
    const { ask, urls, sent } = await owned(transport, { store: { ...store, admit } });
    broken = true;
    expect((await ask(urls.status, get)).status).toBe(202);
    expect((await ask(urls.status, { ...get, as: "bob" })).status).toBe(404);
    const refused = await ask(submit);
    expect([refused.status, codeOf(refused)]).toEqual([500, "store_unavailable"]);
    expect(sent()).toBe(1);
  });

  it("A24: a seal is refused wherever it is wrong", async () => {
    const { ask, id, sent } = await owned(transport);
    const at = id.lastIndexOf(".") + 1;
    for (const place of [at, at + 10, id.length - 1]) {
      const wrong = id[place] === "A" ? "B" : "A";
      const forged = id.slice(0, place) + wrong + id.slice(place + 1);
      const last = place === id.length - 1;
      // The last of 22 base64url characters carries two unused bits; another spelling of the same bytes is refused too.
      expect([last, (await ask(urlsOf(forged).status, get)).status]).toEqual([last, 404]);
    }
    expect(sent()).toBe(0);
  });
});

describe("sealing", () => {
  const [first, second] = ["the first secret, long enough", "the second secret, long enough"];

  it("survives a new secret while the previous one is listed, over processes and transports", async () => {
    const { id, upstream } = await owned("node", { secret: first });
    const statuses = [];
    for (const secret of [first, [second, first], [first, second], second]) {
      for (const transport of transports) {
        const next = await guard({ secret, upstream: upstream.option }, transport);
        statuses.push((await next.ask(urlsOf(id).status, get)).status);
      }
    }
    expect(statuses).toEqual([202, 202, 202, 202, 202, 202, 404, 404]);
  });

  it("with [new, ...previous] the new one seals", async () => {
    const { id, upstream } = await owned("node", { secret: [second, first] });
    const [old, fresh] = [
      await guard({ secret: first, upstream: upstream.option }),
      await guard({ secret: second, upstream: upstream.option }),
    ];
    expect((await old.ask(urlsOf(id).status, get)).status).toBe(404);
    expect((await fresh.ask(urlsOf(id).status, get)).status).toBe(202);
  });

  it('ownership: "app" leaves ids as they are, for everybody', async () => {
    const { ask, id, falRequestId } = await owned("node", { ownership: "app" });
    expect(id).toBe(falRequestId);
    expect((await ask(urlsOf(id).status, { ...get, as: "bob" })).status).toBe(202);
  });
});

describe("on the server", () => {
  it("submitFor makes a job of the caller's, with his rules and money", async () => {
    const { keyway, ask, queue } = await guard({
      endpoints: { "demo/echo": { price: { perCall: 0.4 }, input: (input) => ({ ...(input as object), safe: true }) } },
      limits: { caller: { budget: { usd: 1, per: "day" } } },
    });
    const submitted = await keyway.submitFor({ id: "ada" }, "demo/echo", { input: { prompt: "a cat" } });
    expect(queue.jobs[0]?.body).toBe('{"prompt":"a cat","safe":true}');
    expect((await ask(urlsOf(submitted.request_id).status, get)).status).toBe(202);
    expect((await ask(urlsOf(submitted.request_id).status, { ...get, as: "bob" })).status).toBe(404);
    expect(await keyway.usage("ada")).toMatchObject({ spent: 0, reserved: 0.4, left: 0.6 });
    await keyway.submitFor({ id: "ada" }, "demo/echo", { input: {} });
    await expect(keyway.submitFor({ id: "ada" }, "demo/echo", { input: {} })).rejects.toMatchObject({
      name: "ProxyError",
      code: "budget_exceeded",
      status: 402,
    });
    await expect(keyway.submitFor({ id: "ada" }, "demo/else", { input: {} })).rejects.toMatchObject({
      code: "endpoint_refused",
      status: 403,
    });
    expect(queue.jobs).toHaveLength(2);
  });

  it('submitFor under authorize: "public" gives an id that everybody can use', async () => {
    const { keyway, ask, queue } = await guard({ authorize: "public" });
    const { request_id: id } = await keyway.submitFor({ id: "cron" }, "demo/echo", { input: {} });
    expect(id).toBe(queue.jobs[0]?.id);
    expect((await ask(urlsOf(id).status, { ...get, as: null })).status).toBe(202);
  });

  it("submitFor names what fal.ai refused", async () => {
    const { keyway, upstream } = await guard();
    upstream.answer(({ response }) => respond(response, 422, {}, '{"detail":"no"}'));
    await expect(keyway.submitFor({ id: "ada" }, "demo/echo", { input: {} })).rejects.toMatchObject({
      code: "upstream_invalid",
      status: 422,
    });
  });

  it("submitFor sends the headers that may cross", async () => {
    const { keyway, upstream } = await guard();
    await keyway.submitFor({ id: "ada" }, "demo/echo", { input: {}, headers: { "x-fal-queue-priority": "low" } });
    expect(upstream.arrivals[0]?.values("x-fal-queue-priority")).toEqual(["low"]);
  });

  it("submitFor says once which header did not cross", async () => {
    const { keyway, log } = await guard();
    for (let time = 0; time < 3; time += 1)
      await keyway.submitFor({ id: "ada" }, "demo/echo", { input: {}, headers: { "x-fal-new": "1" } });
    expect(log.filter((line) => line.includes("x-fal-new"))).toHaveLength(1);
  });

  it("openJob says whose job it is and what fal.ai calls it; null for everything else", async () => {
    const { keyway, id, falRequestId, upstream } = await owned("node");
    const opened = { falRequestId, caller: "ada", endpoint: "demo/echo" };
    expect(await keyway.openJob(id)).toEqual(opened);
    expect(await keyway.openJob(falRequestId)).toEqual(opened);
    expect(await keyway.openJob(`${id.slice(0, -2)}xx`)).toBeNull();
    expect(await keyway.openJob("019e161b-0000-7000-8000-000000000099")).toBeNull();
    expect(await keyway.openJob("")).toBeNull();
    const other = createKeyway({ authorize: byName, endpoints: "any", upstream: upstream.option });
    expect(await other.openJob(id)).toBeNull();
  });

  it("a job of path form is opened too", async () => {
    const { askPath, keyway } = await guard();
    const answer = await askPath(`${submit}/fast`);
    expect(await keyway.openJob(idIn(answer))).toMatchObject({ caller: "ada", endpoint: "demo/echo/fast" });
    const followed = await send(String(read(answer)["status_url"]), { headers: [["authorization", "Bearer ada"]] });
    expect(followed.status).toBe(202);
  });
});
