import { createRouteHandler, createWebhookRoute } from "@keyway/nextjs";
import { createWebhookHandler } from "@keyway/sveltekit";
import { reply } from "@keyway/emulator";
import { describe, expect, it } from "vitest";
import { bringUp, reasons, told, until } from "./deliveries.ts";

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
    await until(() => expect(reasons(stage)).toEqual([["handled", undefined, 200]]));
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

describe("the doors of Next and SvelteKit", () => {
  it.each(["next", "kit"] as const)("%s hands the raw bytes over", async (door) => {
    const stage = await bringUp({ webhooks: { url: "http://127.0.0.1:9/hook" } });
    await stage.submit("demo/echo", { n: 1 });
    stage.emulator.faults.clear();
    const sent = await until(() => {
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
