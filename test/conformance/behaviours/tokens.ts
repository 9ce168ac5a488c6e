import { describe, expect, it } from "vitest";
import { always } from "../../upstream.ts";
import type { Mount } from "../mount.ts";
import { stage } from "../stage.ts";

const json = { "content-type": "application/json" };

/** Short-lived tokens are a right to spend, so they are given out only where the app says so. */
export function tokens(mount: Mount): void {
  describe("tokens", () => {
    const tokenUrl = "https://rest.fal.ai/tokens/";
    const body = (...apps: string[]): string => JSON.stringify({ allowed_apps: apps, token_expiration: 120 });

    it.each([
      ["stated for the endpoint", { endpoints: { "demo/**": { realtime: "token" } } }, "echo", 200],
      ["stated for all", { endpoints: ["demo/**"], realtime: "token" }, "echo", 200],
      ["named exactly", { endpoints: ["demo/echo"] }, "echo", 200],
      ["named exactly, asked with its path", { endpoints: ["demo/echo"] }, "demo/echo/realtime", 200],
      ["only under a pattern", { endpoints: ["demo/**"] }, "echo", 403],
      ["not listed", { endpoints: ["demo/other"] }, "echo", 403],
      ["named, but its inputs are checked", { endpoints: { "demo/echo": { input: () => true } } }, "echo", 403],
      ["named, but it is priced", { endpoints: { "demo/echo": { price: { perCall: 1 } } } }, "echo", 403],
      ["named, but said to be proxied", { endpoints: { "demo/echo": { realtime: "proxied" } } }, "echo", 403],
    ] as const)("an app that is %s", async (_name, options, app, status) => {
      const { upstream, ask, log } = await stage(mount, options);
      upstream.answer(always(200, json, '"eyJ.a.b"'));
      const answer = await ask(tokenUrl, { body: body(app) });
      expect(answer.status).toBe(status);
      expect(upstream.arrivals).toHaveLength(status === 200 ? 1 : 0);
      if (status === 200) expect(answer.body.toString()).toBe('"eyJ.a.b"');
      else expect(log.join("\n")).toContain("was refused");
    });

    it("what else the body says does not cross", async () => {
      const { upstream, ask } = await stage(mount, { endpoints: ["demo/echo"] });
      await ask(tokenUrl, { body: '{"allowed_apps":["echo"],"token_expiration":60,"scope":"admin"}' });
      expect(JSON.parse(String(await upstream.arrivals[0]?.whole))).toEqual({
        allowed_apps: ["echo"],
        token_expiration: 60,
      });
    });

    it.each([
      ["no apps", '{"token_expiration":60}'],
      ["an empty list", '{"allowed_apps":[],"token_expiration":60}'],
      ["a star", '{"allowed_apps":["*"],"token_expiration":60}'],
      ["a second app that is not open", '{"allowed_apps":["echo","secret"],"token_expiration":60}'],
      ["a day", '{"allowed_apps":["echo"],"token_expiration":86400}'],
      ["a lifetime that is no number", '{"allowed_apps":["echo"],"token_expiration":"60"}'],
      ["no JSON", "allowed_apps=echo"],
    ])("%s is refused, upstream not called", async (_name, given) => {
      const { upstream, ask } = await stage(mount, { endpoints: ["demo/echo"] });
      expect([400, 403]).toContain((await ask(tokenUrl, { body: given })).status);
      expect(upstream.connections).toBe(0);
    });
  });
}
