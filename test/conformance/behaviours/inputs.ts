import type { StandardSchema } from "@keyway/core";
import { describe, expect, it } from "vitest";
import type { Mount } from "../mount.ts";
import { codeOf, run, stage, stream, submit } from "../stage.ts";

/** A schema as zod, valibot and arktype make them: wants a prompt, answers it with a step count. */
const promptSchema: StandardSchema = {
  "~standard": {
    version: 1,
    vendor: "test",
    validate(value) {
      const { prompt }: { prompt?: unknown } = typeof value === "object" && value !== null ? value : {};
      if (typeof prompt !== "string") return { issues: [{ message: "Required", path: ["prompt"] }] };
      return { value: { prompt, steps: 4 } };
    },
  },
};

/** Inputs that the app looks at before they may cost anything. */
export function inputs(mount: Mount): void {
  describe("an input rule", () => {
    it("that changes the input sends the changed one, with its own length", async () => {
      const input = (given: unknown): unknown => ({ ...(given as object), safe: true });
      const { upstream, ask } = await stage(mount, { endpoints: { "demo/echo": { input } } });
      await ask(run, { body: '{"seed":9007199254740993,"x":1.0,"huge":123456789012345678901234567890,"a":[1.50]}' });
      const [arrival] = upstream.arrivals;
      const sent = '{"seed":9007199254740993,"x":1.0,"huge":123456789012345678901234567890,"a":[1.50],"safe":true}';
      expect((await arrival?.whole)?.toString()).toBe(sent);
      expect(arrival?.values("content-length")).toEqual([String(sent.length)]);
    });

    it("is told the endpoint and the caller", async () => {
      const told: unknown[] = [];
      const input = (_input: unknown, context: unknown): true => {
        told.push(context);
        return true;
      };
      const { ask } = await stage(mount, { endpoints: { "demo/**": { input } } });
      await ask("https://queue.fal.run/demo/echo/fast");
      expect(told).toEqual([{ endpoint: "demo/echo/fast", caller: { id: "ada" } }]);
    });

    it.each([
      ["false", () => false, "The input is not allowed for this endpoint."],
      [
        "an error",
        () => {
          throw new Error("At most 4 images.");
        },
        "At most 4 images.",
      ],
    ])("that answers %s refuses: 400, upstream not called", async (_name, input, message) => {
      const { upstream, ask } = await stage(mount, { endpoints: { "demo/echo": { input } } });
      for (const target of [run, stream, submit]) {
        const refused = await ask(target);
        expect([refused.status, codeOf(refused)]).toEqual([400, "input_refused"]);
        expect(JSON.parse(refused.body.toString())).toMatchObject({ message, detail: message });
      }
      expect(upstream.connections).toBe(0);
    });

    it("that answers something else is our mistake: 500", async () => {
      const { upstream, ask } = await stage(mount, { endpoints: { "demo/echo": { input: () => "yes" } } });
      expect((await ask(run)).status).toBe(500);
      expect(upstream.connections).toBe(0);
    });

    it("may be a schema: its output goes upstream, its issues come back", async () => {
      const { upstream, ask } = await stage(mount, { endpoints: { "demo/echo": { input: promptSchema } } });
      expect((await ask(run, { body: '{"prompt":"a cat","steps":99}' })).status).toBe(200);
      expect((await upstream.arrivals[0]?.whole)?.toString()).toBe('{"prompt":"a cat","steps":4}');
      const refused = await ask(run, { body: "{}" });
      expect([refused.status, refused.body.toString()]).toEqual([400, expect.stringContaining("prompt: Required")]);
      expect(upstream.arrivals).toHaveLength(1);
    });

    it.each(["{", "", '{"a":1}x', "\u00ff"])("sees no JSON in %j: 400", async (body) => {
      const { upstream, ask } = await stage(mount, { endpoints: { "demo/echo": { input: () => true } } });
      const refused = await ask(run, { body: Buffer.from(body, "latin1") });
      expect([refused.status, codeOf(refused)]).toEqual([400, "invalid_json"]);
      expect(upstream.connections).toBe(0);
    });

    it("leaves no way round it: no GET, no query, no socket", async () => {
      const endpoints = { "demo/echo": { input: () => true, methods: ["POST", "GET"] } };
      const { upstream, ask } = await stage(mount, { endpoints });
      expect((await ask(`${run}?prompt=x`, { method: "GET" })).status).toBe(405);
      expect((await ask(`${run}?prompt=x`)).status).toBe(400);
      expect(upstream.connections).toBe(0);
    });
  });
}
