import type { Authorization, Authorize, AuthorizeContext } from "@keyway/core";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { Mount } from "../mount.ts";
import { codeOf, job, run, stage, submit } from "../stage.ts";

const wrongShapes: readonly (readonly [name: string, answer: unknown])[] = [
  ["true", true],
  ["a string", "ada"],
  ["a number", 1],
  ["an empty object", {}],
  ["an empty id", { id: "" }],
  ["an id that is no string", { id: 7 }],
  ["an array", ["ada"]],
  ["the word false", "false"],
];

/** Whatever is not clearly yes is no. */
export function callers(mount: Mount): void {
  describe("authorize", () => {
    it.each<Authorization>([null, undefined, false])("%s: 401, upstream not called", async (answer) => {
      const { upstream, ask } = await stage(mount, { authorize: () => answer });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([401, "unauthorized"]);
      expect(upstream.connections).toBe(0);
    });

    it.each(wrongShapes)("%s: 401, and the operator is told the right shape", async (_name, answer) => {
      const { upstream, log, ask } = await stage(mount, { authorize: (() => answer) as Authorize });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([401, "unauthorized"]);
      expect(log.join("\n")).toContain("authorize must return { id:");
      expect(upstream.connections).toBe(0);
    });

    it.each<[string, Authorize]>([
      [
        "throws",
        () => {
          throw new Error("database at 10.0.0.5 is down");
        },
      ],
      ["rejects", () => Promise.reject(new Error("database at 10.0.0.5 is down"))],
      [
        "throws what is no error",
        () => {
          throw undefined as unknown as Error;
        },
      ],
      ["hangs", () => new Promise(() => undefined)],
    ])("%s: 500, upstream not called, the reason in the log only", async (_name, authorize) => {
      const { upstream, log, ask } = await stage(mount, { authorize, timeouts: { authorize: 40 } });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([500, "authorize_failed"]);
      expect(refused.body.toString()).not.toContain("10.0.0.5");
      expect(log.join("\n")).toContain("authorize failed");
      expect(upstream.connections).toBe(0);
    });

    it("deny: 403 with its message", async () => {
      const { upstream, ask } = await stage(mount, {
        authorize: () => ({ deny: true, message: "Your trial is over." }),
      });
      const refused = await ask(run);
      expect(refused.status).toBe(403);
      expect(JSON.parse(refused.body.toString())).toEqual({
        message: "Your trial is over.",
        detail: "Your trial is over.",
        code: "denied",
      });
      expect(upstream.connections).toBe(0);
    });

    it("is told the call, headers, cookies and address, and not the target's query", async () => {
      const asked: AuthorizeContext[] = [];
      const { mounted, ask } = await stage(mount, {
        authorize(context) {
          asked.push(context);
          return { id: context.cookie("session") ?? "nobody" };
        },
      });
      const origin = new URL(mounted.url).origin;
      const headers = [
        ["cookie", "a=1; session=%61da"],
        ["origin", origin],
      ] as const;
      await ask(`${submit}/fast?fal_max_queue_length=1`, { headers });
      const [context] = asked;
      expect(context?.call).toEqual({
        kind: "submit",
        method: "POST",
        host: "queue.fal.run",
        endpoint: "demo/echo/fast",
        app: "demo/echo",
      });
      expect(context?.headers.get("authorization")).toBe("Bearer ada");
      expect(context?.cookie("session")).toBe("ada");
      expect(context?.address).toBe("127.0.0.1");
    });

    it("the address is the peer's, unless so many proxies are trusted", async () => {
      const addresses: unknown[] = [];
      const authorize: Authorize = ({ address }) => {
        addresses.push(address);
        return null;
      };
      const headers = [
        ["x-forwarded-for", "6.6.6.6, 1.1.1.1"],
        ["x-forwarded-for", "2.2.2.2"],
        ["x-real-ip", "7.7.7.7"],
      ] as const;
      for (const trustProxy of [0, 1, 2]) await (await stage(mount, { authorize, trustProxy })).ask(run, { headers });
      expect(addresses).toEqual(["127.0.0.1", "2.2.2.2", "1.1.1.1"]);
    });

    it("is not asked about preflights and refused targets", async () => {
      let asked = 0;
      const { ask } = await stage(mount, { authorize: () => (asked++, { id: "ada" }) });
      await ask("https://evil.example/a/b");
      await ask(run, {
        method: "OPTIONS",
        headers: [
          ["origin", "https://x.example"],
          ["access-control-request-method", "POST"],
        ],
      });
      await ask(submit, { method: "GET" });
      expect(asked).toBe(0);
    });

    it('"public" lets everybody in', async () => {
      const { upstream, ask } = await stage(mount, { authorize: "public" });
      expect((await ask(run, { as: null })).status).toBe(200);
      expect((await ask(`${job}/status`, { method: "GET", as: null })).status).toBe(200);
      expect(upstream.arrivals).toHaveLength(2);
    });
  });

  describe("the key", () => {
    function without(...names: string[]): void {
      for (const name of names) vi.stubEnv(name, undefined);
      onTestFinished(() => void vi.unstubAllEnvs());
    }

    it("missing: 500 in neutral words, the mend in the log", async () => {
      without("FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET");
      const { log, ask } = await stage(mount, { upstream: undefined, ownership: "app" });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([500, "key_missing"]);
      expect(refused.body.toString()).not.toMatch(/FAL_KEY|undefined/);
      expect(log.join("\n")).toContain("FAL_KEY");
    });

    it.each(["", "undefined", "Key a:b", "a\nb", " a:b"])("given as %j by a function: 500, not shown", async (key) => {
      const { log, ask } = await stage(mount, { upstream: undefined, apiKey: () => key, ownership: "app" });
      const refused = await ask(run);
      expect([refused.status, codeOf(refused)]).toEqual([500, "key_missing"]);
      expect(log.join("\n")).toContain("fal's api key");
      if (key.includes(":")) expect(log.join("\n") + refused.body.toString()).not.toContain("a:b");
    });
  });
}
