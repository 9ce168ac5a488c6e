import { connect } from "node:net";
import { type DeliveryEvent, type Store, createMemoryStore } from "@keyway/core";
import { createRouteHandler, createWebhookRoute } from "@keyway/nextjs";
import { createWebhookHandler } from "@keyway/sveltekit";
import { reply } from "@keyway/emulator";
import express from "express";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createWebhookKey } from "../../packages/emulator/src/jwks.ts";
import { type Stage, type StageOptions, createStage } from "./stage.ts";
import { createSigner } from "./signer.ts";

const stages: Stage[] = [];
afterEach(async () => {
  await Promise.all(stages.splice(0).map((stage) => stage.close()));
  vi.restoreAllMocks();
});

async function bringUp(options: StageOptions = {}): Promise<Stage> {
  const stage = await createStage(options);
  stages.push(stage);
  return stage;
}

/** A stage with one job delivered, and how to deliver it again. */
async function delivered(options: StageOptions = {}) {
  const stage = await bringUp(options);
  await stage.submit("demo/echo", { n: 1 });
  await stage.event();
  const sent = await vi.waitFor(() => {
    const delivery = stage.emulator.deliveries[0];
    if (delivery === undefined) throw new Error("nothing was delivered");
    return delivery;
  });
  const query = new URL(sent.url).search;
  return { stage, sent, query, again: () => stage.post(sent.headers, sent.body, query) };
}

const told = ({ observed }: Stage): readonly DeliveryEvent[] => observed.filter((event) => event.type === "delivery");
const reasons = (stage: Stage) => told(stage).map(({ outcome, reason, status }) => [outcome, reason, status]);
const unlogged = () => vi.spyOn(console, "error").mockImplementation(() => undefined);

describe("a job's result", () => {
  it("comes to the app with the caller that submitted it", async () => {
    const stage = await bringUp();
    const before = Date.now();
    const id = await stage.submit("demo/echo/sub", { n: 1 }, { user: "ben" });
    const event = await stage.event();
    const falRequestId = id.slice(0, -23);
    expect(event).toEqual({
      requestId: id,
      falRequestId,
      gatewayRequestId: falRequestId,
      caller: "ben",
      endpoint: "demo/echo/sub",
      submittedAt: expect.any(Number),
      units: undefined,
      status: "OK",
      payload: { n: 1 },
    });
    expect(event.submittedAt).toBeGreaterThanOrEqual(before);
    await vi.waitFor(() => expect(reasons(stage)).toEqual([["handled", undefined, 200]]));
    expect(told(stage)[0]).toMatchObject({ endpoint: "demo/echo/sub", caller: await stage.keyway.callerHash("ben") });
  });

  it("that is an error, or no JSON, is told as such", async () => {
    const stage = await bringUp();
    stage.emulator.app("me/bad", () => reply({ status: 422, body: { detail: "no" } }));
    stage.emulator.app("me/bytes", () => reply({ body: new Uint8Array([1]) }));
    await stage.submit("me/bad");
    expect(await stage.event()).toMatchObject({
      status: "ERROR",
      error: "Invalid status code: 422",
      payload: { detail: "no" },
    });
    await stage.submit("me/bytes");
    expect(await stage.event(2)).toMatchObject({ status: "OK", payload: null, payloadError: expect.any(String) });
  });

  it("of nobody in particular has no caller, and ids are fal's own", async () => {
    const stage = await bringUp({ keyway: { authorize: "public" } });
    const id = await stage.submit("demo/echo");
    expect(await stage.event()).toMatchObject({ caller: undefined, requestId: id, falRequestId: id });
  });

  it("is charged like a fetched one, and says its units", async () => {
    const spent: number[] = [];
    const stage = await bringUp({
      keyway: { endpoints: { "me/**": { price: { perUnit: 0.5 } } }, onSpend: ({ usd }) => void spent.push(usd) },
    });
    stage.emulator.app("me/units", (_input, context) => {
      context.setUnits(3);
      return {};
    });
    await stage.submit("me/units");
    expect(await stage.event()).toMatchObject({ units: 3 });
    expect(spent).toEqual([1.5]);
    expect(await stage.keyway.usage("ann")).toMatchObject({ spent: 1.5, reserved: 0 });
  });

  it("K32: holds no key that changes other objects", async () => {
    const stage = await bringUp();
    stage.emulator.app("me/proto", () =>
      reply({ headers: { "content-type": "application/json" }, body: '{"__proto__":{"polluted":1}}' }),
    );
    await stage.submit("me/proto");
    await stage.event();
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});

describe("once", () => {
  it("K03: a second copy is 200 and not handled", async () => {
    const { stage, again } = await delivered();
    expect(await again()).toEqual({ status: 200, text: '{"received":true}' });
    expect(stage.events).toHaveLength(1);
    expect(reasons(stage).at(-1)).toEqual(["replayed", undefined, 200]);
  });

  it("100 copies at once are handled once, and all are 200", async () => {
    const stage = await bringUp();
    stage.emulator.faults.add({ delivery: { copies: 100 } });
    await stage.submit("demo/echo");
    await vi.waitFor(() => expect(stage.emulator.deliveries).toHaveLength(100), { timeout: 15_000 });
    expect(stage.emulator.deliveries.filter(({ status }) => status !== 200)).toEqual([]);
    expect(stage.events).toHaveLength(1);
  });

  it("K05: while the store is down it is 500, and told when the store is back", async () => {
    unlogged();
    const whole = createMemoryStore();
    let down = false;
    const store: Store = {
      ...whole,
      claim: async (...given) => (down ? Promise.reject(new Error("down")) : whole.claim(...given)),
      get: async (...given) => (down ? Promise.reject(new Error("down")) : whole.get(...given)),
    };
    const stage = await bringUp({ keyway: { store }, emulator: { timeScale: 0.1 } });
    const submitted = stage.submit("demo/echo");
    await submitted;
    down = true;
    await vi.waitFor(() => expect(stage.emulator.deliveries.at(-1)?.status).toBe(500), { timeout: 5000 });
    expect(stage.events).toEqual([]);
    down = false;
    await stage.event();
    await vi.waitFor(() => expect(stage.emulator.deliveries.at(-1)?.status).toBe(200));
    expect(stage.events).toHaveLength(1);
  });

  it("K06: a handler that throws answers 500, and the next delivery is handled", async () => {
    const log = unlogged();
    let tries = 0;
    const stage = await bringUp({
      webhooks: {
        onResult() {
          tries += 1;
          if (tries < 3) throw new Error("the database is away");
        },
      },
    });
    await stage.submit("demo/echo");
    await vi.waitFor(() => expect(stage.emulator.deliveries.map(({ status }) => status)).toEqual([500, 500, 200]));
    expect(tries).toBe(3);
    expect(log).toHaveBeenCalledWith(expect.stringContaining("the database is away"));
  });

  it("K07: the claim of a process that died in its handler ends, and the next delivery is handled", async () => {
    let now = Date.now();
    const store = createMemoryStore({ now: () => now });
    const hung: (() => void)[] = [];
    let tries = 0;
    const onResult = async (): Promise<void> => {
      tries += 1;
      if (tries === 1) await new Promise<void>((resolve) => hung.push(resolve));
    };
    const stage = await bringUp({ keyway: { store }, webhooks: { onResult }, emulator: { seed } });
    const id = await stage.submit("demo/echo");
    await vi.waitFor(() => expect(tries).toBe(1));
    const body = bodyOf(id, { status: "OK", payload: {} });
    const query = queryOf(stage);
    now += 11 * 60_000;
    expect(await stage.post(signer.headers(body, { requestId: falIdOf(id) }), body, query)).toMatchObject({
      status: 200,
    });
    expect(tries).toBe(2);
    hung.map((release) => release());
  });

  it("K31: once per job, in either order; that it came out otherwise is told to observe alone", async () => {
    const stage = await bringUp({ emulator: { seed } });
    stage.emulator.faults.add({ delivery: { lost: true }, times: "always" });
    for (const [first, later] of [
      ["ERROR", "OK"],
      ["OK", "ERROR"],
    ] as const) {
      const id = await stage.submit("demo/echo");
      const events = stage.events.length;
      const before = told(stage).length;
      for (const status of [first, later, first, later]) {
        const body = bodyOf(id, { status, payload: {}, error: status === "OK" ? null : "Invalid status code: 500" });
        const headers = signer.headers(body, { requestId: falIdOf(id) });
        expect(await stage.post(headers, body, queryOf(stage))).toEqual(taken);
      }
      expect(stage.events.slice(events).map(({ status }) => status)).toEqual([first]);
      const outcomes = told(stage).slice(before);
      expect(outcomes.map(({ outcome, reason }) => `${outcome} ${reason}`)).toEqual([
        "handled undefined",
        "replayed other_status",
        "replayed undefined",
        "replayed other_status",
      ]);
    }
  });
});

describe("refused", () => {
  it("K26: forged, late and re-serialised are 401 with one body; why is in observe", async () => {
    const log = unlogged();
    const stage = await bringUp({ emulator: { timeScale: 0 } });
    for (const delivery of [
      { signature: "wrong" },
      { lateSeconds: 301 },
      { lateSeconds: -301 },
      { reserialised: true },
    ] as const) {
      stage.emulator.faults.add({ delivery });
      await stage.submit("demo/echo", { n: 1 });
    }
    await vi.waitFor(() => expect(told(stage)).toHaveLength(44), { timeout: 8000 });
    const kinds = new Set(told(stage).map(({ outcome, reason, status }) => `${outcome} ${reason} ${status}`));
    expect(kinds).toEqual(new Set(["refused signature_wrong 401", "refused timestamp_outside_window 401"]));
    const [sent] = stage.emulator.deliveries;
    const forged = await stage.post(sent?.headers ?? {}, sent?.body ?? "");
    const none = await stage.post({}, "{}");
    expect(none).toEqual(forged);
    expect(JSON.parse(none.text)).toEqual({
      code: "delivery_refused",
      message: expect.any(String),
      detail: expect.any(String),
    });
    expect(stage.events).toEqual([]);
    expect(log).not.toHaveBeenCalled();
  });

  it("K20: after a body parser it is one clear error, and the line to write is in the log", async () => {
    const log = unlogged();
    const stage = await bringUp({ before: express.json(), emulator: { timeScale: 0 } });
    await stage.submit("demo/echo");
    await vi.waitFor(() => expect(stage.emulator.deliveries[0]?.status).toBe(500));
    expect(log).toHaveBeenCalledWith(expect.stringContaining('app.post("/api/fal/webhook", proxy.webhook)'));
    expect(stage.events).toEqual([]);
    const raw = await bringUp({ before: express.raw({ type: "*/*" }) });
    await raw.submit("demo/echo");
    expect(await raw.event()).toMatchObject({ status: "OK" });
  });

  it("K21: more than 10 MiB is 413 before it is read", async () => {
    const stage = await bringUp();
    const body = new Uint8Array(10 * 1024 * 1024 + 1);
    expect(await stage.post(createSigner().headers(body), body)).toMatchObject({ status: 413 });
    expect(told(stage).at(-1)).toMatchObject({ outcome: "refused", code: "body_too_large" });
  });

  it("K22: only POST", async () => {
    const stage = await bringUp();
    for (const method of ["GET", "PUT", "DELETE"]) {
      const response = await fetch(`${stage.url}/api/fal/webhook`, { method });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    }
  });

  it("K23: a compressed delivery is 415: it is signed as sent", async () => {
    const stage = await bringUp();
    expect(await stage.post({ "content-encoding": "gzip" }, "{}")).toMatchObject({ status: 415 });
  });

  it("K24: a body that stops coming is 408", async () => {
    const stage = await bringUp({ keyway: { timeouts: { callerBody: 100 } } });
    const body = Buffer.from("{}");
    const slow = new ReadableStream({ start: (controller) => controller.enqueue(body) });
    const headers = createSigner().headers(body);
    const init = { method: "POST", headers, body: slow, duplex: "half" } as RequestInit;
    expect((await fetch(`${stage.url}/api/fal/webhook`, init)).status).toBe(408);
  });

  it("K25: a signature that is sent twice is 400", async () => {
    const stage = await bringUp();
    const headers = Object.entries(createSigner().headers(Buffer.from("{}")));
    const lines = [...headers, headers[3] ?? ["", ""]].map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const answer = await rawPost(stage.url, `${lines}content-length: 2\r\n\r\n{}`);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(reasons(stage).at(-1)).toEqual(["refused", "header_repeated", 400]);
  });

  it("K29, K33: another id in the body, or no JSON, is 400 and not handled", async () => {
    const stage = await bringUp({ emulator: { seed } });
    stage.emulator.faults.add({ delivery: { lost: true } });
    const id = await stage.submit("demo/echo");
    for (const [text, reason] of [
      [bodyOf("another.1234567890123456789012", { status: "OK" }), "other_request"],
      [Buffer.from("not JSON"), undefined],
      [Buffer.from([0xff, 0xfe]), undefined],
      [Buffer.from("[]"), undefined],
      [bodyOf(id, { status: "MAYBE" }), undefined],
    ] as const) {
      const headers = signer.headers(text, { requestId: falIdOf(id) });
      expect(await stage.post(headers, text, queryOf(stage))).toMatchObject({ status: 400 });
      expect(reasons(stage).at(-1)).toEqual(["refused", reason, 400]);
    }
    expect(stage.events).toEqual([]);
  });

  it("without the option it is 500, with the line to write in the log", async () => {
    const log = unlogged();
    const stage = await bringUp({ keyway: { webhooks: undefined } });
    expect(await stage.post({}, "{}")).toMatchObject({ status: 500 });
    expect(log).toHaveBeenCalledWith(expect.stringContaining("option webhooks"));
  });
});

describe("not ours", () => {
  it("K30: a job of elsewhere, a forged tag, another job's tag: 200 like a taken one, and not handled", async () => {
    const stage = await bringUp({ emulator: { seed } });
    stage.emulator.faults.add({ delivery: { lost: true }, times: "always" });
    const mine = await stage.submit("demo/echo");
    const query = queryOf(stage);
    await stage.submit("demo/echo", {}, { user: "ben" });
    const other = queryOf(stage);
    const body = bodyOf(mine, { status: "OK", payload: {} });
    const headers = signer.headers(body, { requestId: falIdOf(mine) });
    const flipped = query.replace(/.$/, (last) => (last === "A" ? "E" : "A"));
    for (const [given, reason] of [
      ["", "no_tag"],
      ["?keyway=", "wrong_tag"],
      ["?keyway=nonsense", "wrong_tag"],
      [flipped, "wrong_tag"],
      [other, "other_job"],
    ] as const) {
      expect(await stage.post(headers, body, given)).toEqual(taken);
      expect(reasons(stage).at(-1)).toEqual(["foreign", reason, 200]);
    }
    expect(stage.events).toEqual([]);
    expect(await stage.post(headers, body, query)).toEqual(taken);
    expect(stage.events).toMatchObject([{ caller: "ann" }]);
  });

  it("K34: another account than the pinned one", async () => {
    const stage = await bringUp({ webhooks: { userId: "emulator-account" } });
    stage.emulator.faults.add({ delivery: { account: "another" } });
    await stage.submit("demo/echo");
    await vi.waitFor(() => expect(reasons(stage)).toEqual([["foreign", "other_account", 200]]));
    await stage.submit("demo/echo");
    await stage.event();
    expect(stage.events).toHaveLength(1);
  });

  it("is told where the app asks for it, of its own account only", async () => {
    const stage = await bringUp({ webhooks: { userId: "emulator-account", acceptForeign: true } });
    const hook = `fal_webhook=${encodeURIComponent(`${stage.url}/api/fal/webhook`)}`;
    const submit = async (): Promise<Response> =>
      fetch(`${stage.emulatorUrl}/queue.fal.run/demo/echo?${hook}`, {
        method: "POST",
        headers: { authorization: "Key any" },
        body: "{}",
      });
    await submit();
    expect(await stage.event()).toMatchObject({
      caller: undefined,
      endpoint: undefined,
      submittedAt: undefined,
      status: "OK",
    });
    stage.emulator.faults.add({ delivery: { account: "another" } });
    await submit();
    await vi.waitFor(() => expect(reasons(stage).at(-1)).toEqual(["foreign", "other_account", 200]));
    expect(stage.events).toHaveLength(1);
  });
});

describe("a webhook that never came", () => {
  it("is told by settle(), once, with the same event; the list of jobs knows it", async () => {
    const stage = await bringUp();
    stage.emulator.app("me/bad", () => reply({ status: 422, body: { detail: "no" } }));
    stage.emulator.faults.add({ delivery: { lost: true }, times: "always" });
    const id = await stage.submit("demo/echo", { n: 1 });
    const bad = await stage.submit("me/bad");
    await vi.waitFor(async () => {
      await stage.keyway.settle();
      expect(stage.events).toHaveLength(2);
    });
    expect(await stage.keyway.settle()).toBe(0);
    expect(stage.events).toHaveLength(2);
    const byId = new Map(stage.events.map((event) => [event.requestId, event]));
    expect(byId.get(id)).toMatchObject({ status: "OK", payload: { n: 1 }, caller: "ann", falRequestId: falIdOf(id) });
    expect(byId.get(bad)).toMatchObject({
      status: "ERROR",
      error: "Invalid status code: 422",
      payload: { detail: "no" },
    });
    const { jobs } = (await (await stage.get("/api/fal/proxy/~keyway/jobs")).json()) as { jobs: unknown[] };
    expect(jobs).toMatchObject([
      { requestId: bad, endpoint: "me/bad", status: "ERROR" },
      { requestId: id, endpoint: "demo/echo", status: "OK" },
    ]);
  });

  it("and comes after all, is a replay; a job still at work is left alone", async () => {
    const stage = await bringUp({ emulator: { seed, pace: "reads" } });
    const id = await stage.submit("demo/echo");
    expect(await stage.keyway.settle()).toBe(0);
    expect(stage.events).toEqual([]);
    await vi.waitFor(async () => {
      await stage.keyway.settle();
      expect(stage.events).toHaveLength(1);
    });
    const body = bodyOf(id, { status: "OK", payload: {} });
    const headers = signer.headers(body, { requestId: falIdOf(id) });
    expect(await stage.post(headers, body, queryOf(stage))).toEqual(taken);
    expect(stage.events).toHaveLength(1);
  });

  it("is tried again by the next settle() when the handler throws", async () => {
    unlogged();
    let tries = 0;
    const onResult = (): void => {
      tries += 1;
      if (tries === 1) throw new Error("not now");
    };
    const stage = await bringUp({ webhooks: { onResult } });
    stage.emulator.faults.add({ delivery: { lost: true } });
    await stage.submit("demo/echo");
    await vi.waitFor(async () => {
      await stage.keyway.settle();
      expect(tries).toBe(2);
    });
    await stage.keyway.settle();
    expect(tries).toBe(2);
  });
});

describe("fal_webhook", () => {
  const evil = encodeURIComponent("https://evil.example/x");
  it("of a caller is refused in every spelling, except to a listed origin", async () => {
    const stage = await bringUp({ webhooks: { allow: ["https://hooks.example"] } });
    const hook = encodeURIComponent("https://hooks.example/me?a=1");
    const refused = [
      `?fal_webhook=${evil}`,
      `?FAL_WEBHOOK=${hook}`,
      `?fal%5Fwebhook=${evil}`,
      `?fal_webhook=${hook}&fal_webhook=${evil}`,
      `?fal_webhook=${hook};fal_webhook=${evil}`,
      `?fal_webhook=${encodeURIComponent("https://hooks.example.evil.example/")}`,
      `?fal_webhook=${encodeURIComponent("https://hooks.example@evil.example/")}`,
      `?fal_webhook=${encodeURIComponent("https://u:p@hooks.example/")}`,
      `?fal_webhook=${encodeURIComponent("http://hooks.example/")}`,
      "?fal_webhook=",
    ];
    for (const query of refused) await expect(stage.submit("demo/echo", {}, { query })).rejects.toThrow(/40[03]/);
    expect(stage.emulator.calls).toEqual([]);
    await stage.submit("demo/echo", {}, { query: `?fal_max_queue_length=5&fal_webhook=${hook}` });
    const sent = new URL(stage.emulator.calls[0]?.url ?? "", "http://x").searchParams;
    expect([sent.getAll("fal_webhook"), sent.get("fal_max_queue_length")]).toEqual([
      ["https://hooks.example/me?a=1"],
      "5",
    ]);
  });

  it("is ours on every submit, hides the caller, and keeps the caller's other parameters", async () => {
    const stage = await bringUp({ webhooks: { url: "http://127.0.0.1:9/hooks?of=shop" } });
    await stage.submit("demo/echo", {}, { user: "ann@example.com", query: "?fal_max_queue_length=5" });
    const sent = new URL(stage.emulator.calls[0]?.url ?? "", "http://x").searchParams;
    const url = new URL(sent.get("fal_webhook") ?? "");
    expect([url.origin, url.pathname, url.searchParams.get("of")]).toEqual(["http://127.0.0.1:9", "/hooks", "shop"]);
    expect(sent.get("fal_max_queue_length")).toBe("5");
    expect(atob((url.searchParams.get("keyway") ?? "").replaceAll("-", "+").replaceAll("_", "/"))).not.toContain("ann");
  });

  it("K39: neither events nor the log hold the tag", async () => {
    const log = unlogged();
    const stage = await bringUp({ webhooks: { onResult: () => Promise.reject(new Error("no")) } });
    await stage.submit("demo/echo");
    await vi.waitFor(() => expect(told(stage).length).toBeGreaterThan(2));
    const tag = new URLSearchParams(queryOf(stage)).get("keyway") ?? "";
    expect(tag.length).toBeGreaterThan(40);
    expect(JSON.stringify([stage.observed, log.mock.calls])).not.toContain(tag);
  });
});

describe("the doors of Next and SvelteKit", () => {
  it.each(["next", "kit"] as const)("%s hands the raw bytes over", async (door) => {
    const stage = await bringUp({ webhooks: { url: "http://127.0.0.1:9/hook" } });
    await stage.submit("demo/echo", { n: 1 });
    stage.emulator.faults.clear();
    const sent = await vi.waitFor(() => {
      const [delivery] = stage.emulator.deliveries;
      if (delivery === undefined) throw new Error("none yet");
      return delivery;
    });
    const request = (body: string) => new Request(sent.url, { method: "POST", headers: sent.headers, body });
    const event = (body: string) => ({ request: request(body), getClientAddress: () => "127.0.0.1" });
    const post = (body: string): Promise<Response> =>
      door === "next"
        ? createWebhookRoute(stage.keyway).POST(request(body))
        : createWebhookHandler(stage.keyway).POST(event(body));
    expect((await post(JSON.stringify(JSON.parse(sent.body)))).status).toBe(401);
    expect((await post(sent.body)).status).toBe(200);
    expect(stage.events).toMatchObject([{ caller: "ann", payload: { n: 1 } }]);
    expect(Object.keys(createRouteHandler(stage.keyway))).toContain("GET");
  });
});

describe("the list of a caller's jobs", () => {
  it("holds his own, the newest first, since when he asks", async () => {
    const stage = await bringUp();
    const first = await stage.submit("demo/echo");
    await stage.submit("demo/echo", {}, { user: "ben" });
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
    const second = await stage.submit("demo/echo/sub");
    await stage.event(3);
    const list = async (query = "", user = "ann") => {
      const response = await stage.get(`/api/fal/proxy/~keyway/jobs${query}`, user);
      return ((await response.json()) as { jobs: { requestId: string; submittedAt: number; status: string }[] }).jobs;
    };
    await vi.waitFor(async () => expect((await list()).map(({ status }) => status)).toEqual(["OK", "OK"]));
    expect((await list()).map(({ requestId }) => requestId)).toEqual([second, first]);
    const [{ submittedAt } = { submittedAt: 0 }] = await list();
    expect((await list(`?since=${submittedAt}`)).map(({ requestId }) => requestId)).toEqual([second]);
    expect(await list("", "ben")).toHaveLength(1);
    expect(await list("", "eve")).toEqual([]);
    for (const query of ["?since=x", "?since=-1", "?most=3"])
      expect((await stage.get(`/api/fal/proxy/~keyway/jobs${query}`)).status).toBe(400);
    expect((await fetch(`${stage.url}/api/fal/proxy/~keyway/jobs`, { method: "POST" })).status).toBe(405);
  });

  it("is nobody's where nobody is asked, and no page of elsewhere reads it", async () => {
    const open = await bringUp({ keyway: { authorize: "public" } });
    expect((await open.get("/api/fal/proxy/~keyway/jobs")).status).toBe(403);
    const stage = await bringUp();
    const path = `${stage.url}/api/fal/proxy/~keyway/jobs`;
    expect((await fetch(path, { headers: { cookie: "a=b" } })).status).toBe(403);
    expect((await fetch(path, { headers: { cookie: "a=b", "x-keyway-client": "1" } })).status).toBe(200);
    expect((await fetch(path, { headers: { cookie: "a=b", origin: "https://evil.example" } })).status).toBe(403);
  });
});

const seed = "deliveries of these tests";
const signer = createSigner(createWebhookKey(seed).privateKey);
const taken = { status: 200, text: '{"received":true}' };

function falIdOf(sealed: string): string {
  return sealed.slice(0, -23);
}

function bodyOf(sealed: string, fields: object): Uint8Array {
  return Buffer.from(JSON.stringify({ request_id: falIdOf(sealed), gateway_request_id: falIdOf(sealed), ...fields }));
}

/** The query of the webhook URL that the last submit gave fal. */
function queryOf({ emulator }: Stage): string {
  const last = emulator.calls.findLast(({ kind }) => kind === "submit");
  const url = new URL(last?.url ?? "", "http://x").searchParams.get("fal_webhook") ?? "";
  return new URL(url).search;
}

async function rawPost(url: string, rest: string): Promise<string> {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(`POST /api/fal/webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${rest}`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
