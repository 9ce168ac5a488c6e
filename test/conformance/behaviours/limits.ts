import { createMemoryStore } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { always } from "../../upstream.ts";
import { valueIn } from "../../wire.ts";
import type { Mount } from "../mount.ts";
import { codeOf, job, run, stage, stream, submit } from "../stage.ts";

const json = { "content-type": "application/json" };

/** How often a caller may call, and upload. */
export function limits(mount: Mount): void {
  describe("rates", () => {
    it("beyond the limit: 429 with Retry-After; polls and refusals are not counted", async () => {
      const limits = { caller: { requests: { max: 2, per: "minute" } } } as const;
      const { upstream, ask } = await stage(mount, { limits, ownership: "app" });
      for (let time = 0; time < 5; time += 1) {
        await ask(`${job}/status`, { method: "GET" });
        await ask(run, { type: "text/plain" });
      }
      expect([(await ask(run)).status, (await ask(submit)).status]).toEqual([200, 200]);
      const refused = await ask(stream);
      expect([refused.status, codeOf(refused)]).toEqual([429, "rate_limited"]);
      expect(Number(valueIn(refused.headers, "retry-after"))).toBeGreaterThanOrEqual(1);
      expect((await ask(run, { as: "bob" })).status).toBe(200);
      expect(upstream.arrivals).toHaveLength(8);
    });

    it("for all together", async () => {
      const { ask } = await stage(mount, { limits: { global: { requests: { max: 1, per: "hour" } } } });
      expect([(await ask(run)).status, (await ask(run, { as: "bob" })).status]).toEqual([200, 429]);
    });

    it("a store that fails lets nothing through: 500", async () => {
      const store = { ...createMemoryStore(), admit: () => Promise.reject(new Error("gone")) };
      const limits = { caller: { requests: { max: 2, per: "minute" } } } as const;
      const { upstream, log, ask } = await stage(mount, { limits, store });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([500, "store_unavailable"]);
      expect(log.join("\n")).toContain("the store failed");
      expect(upstream.connections).toBe(0);
    });
  });

  describe("uploads", () => {
    const initiate = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3";
    const multipart = "https://rest.fal.ai/storage/upload/initiate-multipart?storage_type=fal-cdn-v3";

    it("start through the proxy, up to so many a minute", async () => {
      const { upstream, ask } = await stage(mount, { uploads: { perMinute: 2 }, endpoints: [] });
      upstream.answer(always(200, { ...json, "x-fal-cdn-token": "t" }, '{"upload_url":"u","file_url":"f"}'));
      const first = await ask(initiate, { body: '{"content_type":"text/plain","file_name":"a.txt"}' });
      expect([first.status, first.body.toString()]).toEqual([200, '{"upload_url":"u","file_url":"f"}']);
      expect(valueIn(first.headers, "x-fal-cdn-token")).toBeUndefined();
      expect((await ask(multipart)).status).toBe(200);
      const refused = await ask(initiate);
      expect([refused.status, codeOf(refused)]).toEqual([429, "rate_limited"]);
      expect(Number(valueIn(refused.headers, "retry-after"))).toBeGreaterThanOrEqual(1);
      expect((await ask(initiate, { as: "bob" })).status).toBe(200);
      expect(upstream.arrivals).toHaveLength(3);
    });

    it("can be switched off", async () => {
      const { upstream, ask } = await stage(mount, { uploads: false });
      const refused = await ask(initiate);
      expect([refused.status, codeOf(refused)]).toEqual([403, "uploads_refused"]);
      expect(upstream.connections).toBe(0);
    });
  });
}
