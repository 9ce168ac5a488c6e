import { type PriceOption, createKeyway, createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { type Script, always, raw } from "../../upstream.ts";
import type { Mount } from "../mount.ts";
import { byName, codeOf, job, requestId, run, stage, submit } from "../stage.ts";

const json = { "content-type": "application/json" };
const submitted = always(200, json, JSON.stringify({ request_id: requestId }));

/** Money is set aside before a call and charged by what it came to. */
export function money(mount: Mount): void {
  describe("money", () => {
    /** One dollar a day for each caller; a store clock that can be moved on, an hour behind so that it stays in the period. */
    async function purse(price: PriceOption) {
      const clock = { ms: Date.now() - 3_600_000 };
      const options = {
        endpoints: { "demo/echo": { price } },
        limits: { caller: { budget: { usd: 1, per: "day" } } },
        store: createMemoryStore({ now: () => clock.ms }),
        timeouts: { jobLease: 60_000 },
        namespace: "counted",
      } as const;
      const staged = await stage(mount, options);
      const counting = createKeyway({ authorize: byName, upstream: staged.upstream.option, ...options });
      return { ...staged, clock, usage: () => counting.usage("ada") };
    }

    it("is set aside, charged, and refused with 402 when spent", async () => {
      const { upstream, ask, usage, ended } = await purse({ perCall: 0.4 });
      expect((await ask(run)).status).toBe(200);
      await ended();
      await expect.poll(usage).toMatchObject({ spent: 0.4, reserved: 0, left: 0.6 });
      expect((await ask(run)).status).toBe(200);
      await expect.poll(usage).toMatchObject({ spent: 0.8, reserved: 0, left: 0.2 });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([402, "budget_exceeded"]);
      expect((await ask(run, { as: "bob" })).status).toBe(200);
      expect(upstream.arrivals).toHaveLength(3);
    });

    it("is set aside while a call is under way, so that a hundred at once cannot overspend", async () => {
      const { upstream, ask, usage } = await purse({ perCall: 0.4 });
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(run)));
      expect(answers.filter(({ status }) => status === 200)).toHaveLength(2);
      expect(answers.filter(({ status }) => status === 402)).toHaveLength(18);
      expect(upstream.arrivals).toHaveLength(2);
      await expect.poll(usage).toMatchObject({ spent: 0.8, reserved: 0, left: 0.2 });
    });

    it.each([
      ["fewer units than reserved", "1.5", 0.15],
      ["more units than reserved", "8", 0.8],
      ["no units", "0", 0],
      ["units that are no number: the whole reservation", "many", 0.4],
    ])("by units: %s", async (_name, units, spent) => {
      const { upstream, ask, usage } = await purse({ perUnit: 0.1, reserveUnits: 4 });
      upstream.answer(always(200, { ...json, "x-fal-billable-units": units }, "{}"));
      await ask(run);
      await expect.poll(async () => (await usage()).reserved).toBe(0);
      expect((await usage()).spent).toBeCloseTo(spent, 6);
    });

    it.each<[string, Script, number]>([
      ["500", always(500, json, "{}"), 0],
      ["503", always(503, json, "{}"), 0],
      ["429", always(429, json, "{}"), 0],
      ["422 without units", always(422, json, "{}"), 0.4],
      ["422 that bills nothing", always(422, { ...json, "x-fal-billable-units": "0" }, "{}"), 0],
      ["no answer: it may have run", ({ socket }) => socket.resetAndDestroy(), 0.4],
      ["half an answer: it did run", raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", "end"), 0.4],
    ])("after %s", async (_name, script, spent) => {
      const { upstream, start, usage, ended } = await purse({ perCall: 0.4 });
      upstream.answer(script);
      start(run).once("response", (response) => response.on("error", () => undefined).resume());
      await ended();
      await expect.poll(async () => (await usage()).reserved).toBe(0);
      expect((await usage()).spent).toBe(spent);
    });

    it("of a job is charged by its result, once", async () => {
      const { upstream, ask, usage } = await purse({ perUnit: 0.1, reserveUnits: 4 });
      upstream.answer(submitted);
      const { request_id: sealed } = JSON.parse((await ask(submit)).body.toString()) as { request_id: string };
      expect(await usage()).toMatchObject({ spent: 0, reserved: 0.4, left: 0.6 });
      upstream.answer(always(400, json, '{"detail":"Request is still in progress"}'));
      await ask(job.replace(requestId, sealed), { method: "GET" });
      expect(await usage()).toMatchObject({ spent: 0, reserved: 0.4, left: 0.6 });
      upstream.answer(always(200, { ...json, "x-fal-billable-units": "2" }, "{}"));
      for (let time = 0; time < 3; time += 1) await ask(job.replace(requestId, sealed), { method: "GET" });
      await expect.poll(usage).toMatchObject({ spent: 0.2, reserved: 0, left: 0.8 });
    });

    it("of a submit that was refused is given back", async () => {
      const { upstream, ask, usage } = await purse({ perCall: 0.4 });
      upstream.answer(always(422, json, "{}"));
      await ask(submit);
      await expect.poll(usage).toMatchObject({ spent: 0, reserved: 0, left: 1 });
    });

    it("of a job whose end nobody saw is charged when its lease is over", async () => {
      const { upstream, ask, usage, clock } = await purse({ perCall: 0.4 });
      upstream.answer(submitted);
      await ask(submit);
      clock.ms += 59_000;
      expect(await usage()).toMatchObject({ reserved: 0.4 });
      clock.ms += 2000;
      expect(await usage()).toMatchObject({ spent: 0.4, reserved: 0, left: 0.6 });
    });

    it("is not set aside for what never went out", async () => {
      const { ask, usage } = await purse({ perCall: 0.4 });
      await ask(run, { type: "text/plain" });
      await ask(run, { as: null });
      await ask(run, { method: "GET" });
      expect(await usage()).toMatchObject({ spent: 0, reserved: 0, left: 1 });
    });
  });
}
