import { type Store, createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import {
  bodyOf,
  bringUp,
  falIdOf,
  queryOf,
  reasons,
  seed,
  signer,
  taken,
  told,
  unlogged,
  until,
} from "./deliveries.ts";
import type { StageOptions } from "./stage.ts";

/** A stage with one job delivered, and how to deliver it again. */
async function delivered(options: StageOptions = {}) {
  const stage = await bringUp(options);
  await stage.submit("demo/echo", { n: 1 });
  await stage.event();
  const sent = await until(() => {
    const delivery = stage.emulator.deliveries[0];
    if (delivery === undefined) throw new Error("nothing was delivered");
    return delivery;
  });
  const query = new URL(sent.url).search;
  return { stage, sent, query, again: () => stage.post(sent.headers, sent.body, query) };
}

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
    await until(() => expect(stage.emulator.deliveries).toHaveLength(100));
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
    await until(() => expect(stage.emulator.deliveries.at(-1)?.status).toBe(500));
    expect(stage.events).toEqual([]);
    down = false;
    await stage.event();
    await until(() => expect(stage.emulator.deliveries.at(-1)?.status).toBe(200));
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
    await until(() => expect(stage.emulator.deliveries.map(({ status }) => status)).toEqual([500, 500, 200]));
    expect(tries).toBe(3);
    expect(log).toHaveBeenCalledWith(expect.stringContaining("the database is away"));
  });

  it("a handler that throws while the store is away is logged with its own error", async () => {
    const log = unlogged();
    let now = Date.now();
    const memory = createMemoryStore({ now: () => now });
    const store: Store = { ...memory, remove: () => Promise.reject(new Error("the store is away")) };
    let tries = 0;
    const onResult = (): void => {
      tries += 1;
      // The claim that could not be given back ends in time.
      now += 11 * 60_000;
      if (tries === 1) throw new Error("the database is away");
    };
    const stage = await bringUp({ keyway: { store }, webhooks: { onResult } });
    await stage.submit("demo/echo");
    await until(() => expect(stage.emulator.deliveries.map(({ status }) => status)).toEqual([500, 200]));
    expect(log).toHaveBeenCalledWith(expect.stringContaining("the database is away"));
    expect(log).toHaveBeenCalledWith(expect.stringContaining("a delivery could not be given back"));
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
    await until(() => expect(tries).toBe(1));
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
