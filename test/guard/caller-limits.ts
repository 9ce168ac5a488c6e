import type { Authorize, KeywayOptions, LimitSet, Store } from "@keyway/core";
import { describe, expect, it } from "vitest";
import { codeOf, run, stream, submit } from "../conformance/stage.ts";
import { valueIn } from "../wire.ts";
import { type Transport, guard } from "./ground.ts";

const token = "https://rest.fal.ai/tokens/";

/** Whoever calls himself `<plan>-<name>` is on that plan; everybody else has what the app gives to all. */
function onPlans(plans: Readonly<Record<string, LimitSet>>): Authorize {
  return ({ headers }) => {
    const id = headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    return { id, limits: plans[id.split("-")[0] ?? ""] };
  };
}

/** The limits that `authorize` gives with a caller, on one store. */
export function describeCallerLimits(name: string, transport: Transport, open: () => Store | undefined): void {
  const start = (plans: Readonly<Record<string, LimitSet>>, options: Partial<KeywayOptions> = {}) =>
    guard(
      {
        authorize: onPlans(plans),
        endpoints: { "demo/**": { price: { perCall: 0.02 }, realtime: "proxied" } },
        limits: { caller: { budget: { usd: 0.1, per: "day" }, requests: { max: 100, per: "hour" } } },
        store: open(),
        ...options,
      },
      transport,
    );

  describe(`limits of a caller's own over ${name}`, () => {
    it("take the place of the app's, field by field, for him alone", async () => {
      const { ask, keyway, upstream } = await start({ small: { budget: { usd: 0.04, per: "day" } } });
      const statuses = async (as: string) => {
        const answers = [];
        for (let time = 0; time < 7; time += 1) answers.push(await ask(run, { as }));
        expect(valueIn(answers[0]?.headers ?? [], "ratelimit-policy")).toBe('"caller";q=100;w=3600');
        return answers.map(({ status }) => status);
      };
      expect(await statuses("small-ann")).toEqual([200, 200, 402, 402, 402, 402, 402]);
      expect(await statuses("bob")).toEqual([200, 200, 200, 200, 200, 402, 402]);
      expect(upstream.arrivals).toHaveLength(7);
      const budget = { usd: 0.04, per: "day" } as const;
      const small = { id: "small-ann", limits: { budget } };
      expect(await keyway.usage(small)).toMatchObject({ spent: 0.04, reserved: 0, left: 0, budget });
      expect(await keyway.usage("bob")).toMatchObject({ spent: 0.1, left: 0, budget: { usd: 0.1, per: "day" } });
      expect((await keyway.usage(small)).until.getTime()).toBeGreaterThan(Date.now());
    });

    it("may be wider, and hold for rates, jobs and streams", async () => {
      const { ask } = await start({
        wide: { budget: { usd: 1, per: "day" } },
        slow: { requests: { max: 1, per: "hour" } },
        few: { jobs: 1, streams: 0 },
      });
      const ten = await Promise.all(Array.from({ length: 10 }, () => ask(run, { as: "wide-eve" })));
      expect(ten.map(({ status }) => status)).toEqual(ten.map(() => 200));
      const slow = [await ask(run, { as: "slow-tom" }), await ask(run, { as: "slow-tom" })];
      expect(slow.map(({ status }) => status)).toEqual([200, 429]);
      const few = [await ask(submit, { as: "few-joe" }), await ask(submit, { as: "few-joe" })];
      expect(few.map(({ status }) => status)).toEqual([200, 429]);
      expect(codeOf(await ask(stream, { as: "few-joe" }))).toBe("too_many_open");
    });

    it("with a month's budget are counted by the month", async () => {
      const budget = { usd: 0.05, per: "month" } as const;
      const { ask, keyway } = await start({ monthly: { budget } });
      const answers = [1, 2, 3].map(() => ask(run, { as: "monthly-kim" }));
      expect((await Promise.all(answers)).map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([
        200, 200, 402,
      ]);
      const usage = await keyway.usage({ id: "monthly-kim", limits: { budget } });
      expect(usage).toMatchObject({ spent: 0.04, budget });
      expect(usage.until.getUTCDate()).toBe(1);
    });

    it("never let a caller with a budget spend what is not counted", async () => {
      const plans = { small: { budget: { usd: 1, per: "day" } } } as const;
      const options = { endpoints: ["demo/echo"], limits: {} };
      const { ask, upstream, log } = await start(plans, options);
      const refused = await ask(run, { as: "small-ann" });
      expect([refused.status, codeOf(refused)]).toEqual([500, "authorize_failed"]);
      expect(log.join("\n")).toContain('endpoints: { "demo/echo": { price: { perCall: 0.04 } } }');
      const asked = { body: '{"allowed_apps":["demo/echo"],"token_expiration":60}' };
      expect(codeOf(await ask(token, { ...asked, as: "small-ann" }))).toBe("token_refused");
      expect(upstream.arrivals).toHaveLength(0);
      expect((await ask(token, { ...asked, as: "bob" })).status).toBe(200);
      expect((await ask(run, { as: "bob" })).status).toBe(200);
    });

    it.each([
      ["an unknown field", { credits: 3 }, "limits has budget, requests, jobs, streams, no credits"],
      [
        "a budget that is no money",
        { budget: { usd: Number.NaN, per: "day" } },
        "limits.budget is money in US dollars",
      ],
      ["something else", "none", "limits is an object"],
    ])("that are none are no limits at all: %s", async (_what, limits, why) => {
      const { ask, upstream, log } = await start({}, { authorize: () => ({ id: "ann", limits: limits as LimitSet }) });
      const answer = await ask(run);
      expect([answer.status, codeOf(answer)]).toEqual([500, "authorize_failed"]);
      expect(log.join("\n")).toContain(why);
      expect(upstream.arrivals).toHaveLength(0);
    });
  });
}
