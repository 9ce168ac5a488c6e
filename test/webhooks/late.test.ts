import { reply } from "@keyway/emulator";
import { describe, expect, it } from "vitest";
import { bodyOf, bringUp, falIdOf, queryOf, seed, signer, taken, unlogged, until } from "./deliveries.ts";

describe("a webhook that never came", () => {
  it("is told by settle(), once, with the same event; the list of jobs knows it", async () => {
    const stage = await bringUp();
    stage.emulator.app("me/bad", () => reply({ status: 422, body: { detail: "no" } }));
    stage.emulator.faults.add({ delivery: { lost: true }, times: "always" });
    const id = await stage.submit("demo/echo", { n: 1 });
    const bad = await stage.submit("me/bad");
    await until(async () => {
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
    await until(async () => {
      await stage.keyway.settle();
      expect(stage.events).toHaveLength(1);
    });
    const body = bodyOf(id, { status: "OK", payload: {} });
    const headers = signer.headers(body, { requestId: falIdOf(id) });
    expect(await stage.post(headers, body, queryOf(stage))).toEqual(taken);
    expect(stage.events).toHaveLength(1);
  });

  it("does not wait behind jobs that stay at work", async () => {
    const stage = await bringUp({ emulator: { concurrency: 10 } });
    stage.emulator.app(
      "me/long",
      (_input, { signal }) => new Promise((resolve) => signal.addEventListener("abort", resolve)),
    );
    stage.emulator.faults.add({ delivery: { lost: true }, times: "always" });
    for (let count = 0; count < 3; count += 1) await stage.submit("me/long");
    await stage.submit("demo/echo");
    await until(async () => {
      await stage.keyway.settle(2);
      expect(stage.events).toMatchObject([{ endpoint: "demo/echo" }]);
    });
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
    await until(async () => {
      await stage.keyway.settle();
      expect(tries).toBe(2);
    });
    await stage.keyway.settle();
    expect(tries).toBe(2);
  });
});
