import { type InputRule, createKeyway } from "@keyway/core";
import { type } from "arktype";
import fc from "fast-check";
import picomatch from "picomatch";
import * as v from "valibot";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { matchSegments } from "../../packages/core/src/rules/endpoint.ts";
import { byName, codeOf, run, stream, submit } from "../conformance/stage.ts";
import { guard, idIn, transports, get, urlsOf } from "./ground.ts";

describe("patterns", () => {
  const name = fc.constantFrom("fal-ai", "flux", "dev", "a", "b", "Flux");
  const names = fc.array(name, { minLength: 2, maxLength: 6 });
  const pattern = fc.array(fc.oneof(name, fc.constantFrom("*", "**")), { minLength: 2, maxLength: 6 });

  // picomatch lets `**` stand for none, except behind a star: there it wants one more segment. Here it may always be none.
  it("match as picomatch does, for * and ** that does not follow a star", () => {
    fc.assert(
      fc.property(pattern, names, (segments, endpoint) => {
        fc.pre(!segments.join("/").includes("*/**"));
        const expected = picomatch(segments.join("/"), { nobrace: true, noext: true })(endpoint.join("/"));
        expect(matchSegments(segments, endpoint)).toBe(expected);
      }),
      { numRuns: 5000 },
    );
  });

  it("take time in proportion, however many ** there are", () => {
    const cruel = [...Array.from({ length: 64 }, () => ["**", "a"]).flat(), "b"];
    const long = Array.from({ length: 4000 }, () => "a");
    const before = process.cpuUsage();
    expect(matchSegments(cruel, long)).toBe(false);
    expect(process.cpuUsage(before).user).toBeLessThan(50_000);
  });

  it.each(transports)(
    "hold for every kind and method, case-sensitively, the first match in written order, over %s",
    async (transport) => {
      const endpoints = {
        "demo/echo": { input: () => false },
        "demo/*": {},
        "demo/*/fast": {},
        "other/app/**": {},
      };
      const { ask, upstream } = await guard({ endpoints }, transport);
      expect(codeOf(await ask(run))).toBe("input_refused");
      const allowed = ["demo/other", "demo/echo/fast", "other/app", "other/app/x/y"];
      const refused = ["Demo/other", "demo/other/slow", "other/apps", "third/app", "demo/echo/fast/x"];
      for (const endpoint of allowed) expect((await ask(`https://fal.run/${endpoint}`)).status).toBe(200);
      const before = upstream.arrivals.length;
      for (const endpoint of refused) {
        for (const target of [
          `https://fal.run/${endpoint}`,
          `https://fal.run/${endpoint}/stream`,
          `https://queue.fal.run/${endpoint}`,
        ]) {
          const answer = await ask(target);
          expect([answer.status, codeOf(answer)]).toEqual([403, "endpoint_refused"]);
        }
      }
      expect((await ask("https://queue.fal.run/third/app/requests/a-b-c/status", get)).status).toBe(403);
      expect((await ask("https://queue.fal.run/third/app/requests/a-b-c/cancel", { method: "PUT" })).status).toBe(403);
      expect(upstream.arrivals).toHaveLength(before);
    },
  );

  it("an empty list allows nothing, and names what is missing", async () => {
    const { ask } = await guard({ endpoints: [] });
    const refused = await ask(run);
    expect([refused.status, refused.body.toString()]).toEqual([403, expect.stringContaining("demo/echo")]);
  });
});

const schemas: readonly (readonly [name: string, rule: InputRule, says: RegExp])[] = [
  ["zod", z.object({ prompt: z.string(), n: z.number().max(4).default(1) }), /n: .*4/],
  ["valibot", v.object({ prompt: v.string(), n: v.optional(v.pipe(v.number(), v.maxValue(4)), 1) }), /n: .*4/],
  ["arktype", type({ "+": "delete", prompt: "string", n: "number <= 4 = 1" }), /n.*4/],
  [
    "a function",
    (input) => {
      const { prompt, n = 1 } = input as { prompt: string; n?: number };
      if (n > 4) throw new Error("n: at most 4");
      return { prompt, n };
    },
    /n: at most 4/,
  ],
];

describe.each(schemas)("an input rule by %s", (_name, input, says) => {
  it.each(transports)("sends its output, refuses with its issues, over %s", async (transport) => {
    const { ask, upstream, queue } = await guard({ endpoints: { "demo/echo": { input } } }, transport);
    for (const target of [run, stream, submit]) {
      expect((await ask(target, { body: '{"prompt":"a cat","secret_knob":true}' })).status).toBe(200);
    }
    const bodies = await Promise.all(upstream.arrivals.map(async ({ whole }) => (await whole).toString()));
    expect(bodies).toEqual(Array.from({ length: 3 }, () => '{"prompt":"a cat","n":1}'));
    const refused = await ask(run, { body: '{"prompt":"a cat","n":9}' });
    expect([refused.status, codeOf(refused)]).toEqual([400, "input_refused"]);
    expect(refused.body.toString()).toMatch(says);
    expect(queue.jobs).toHaveLength(1);
    expect(upstream.arrivals).toHaveLength(3);
  });
});

describe("an input rule", () => {
  it("may be an asynchronous schema", async () => {
    const input = z.object({ prompt: z.string().refine(async (prompt) => prompt !== "bad") });
    const { ask } = await guard({ endpoints: { "demo/echo": { input } } });
    expect((await ask(run, { body: '{"prompt":"good"}' })).status).toBe(200);
    expect((await ask(run, { body: '{"prompt":"bad"}' })).status).toBe(400);
  });

  it("leaves integers beyond 2^53 as they were sent, through a schema too", async () => {
    const input = z.looseObject({ seed: z.number() });
    const { ask, upstream } = await guard({ endpoints: { "demo/echo": { input } } });
    const body = '{"seed":9007199254740993,"steps":1.50}';
    await ask(run, { body });
    expect((await upstream.arrivals[0]?.whole)?.toString()).toBe(body);
  });

  it("is not asked beyond the rates, so that a body costs nothing then", async () => {
    let asked = 0;
    const { ask } = await guard({
      endpoints: { "demo/echo": { input: () => ((asked += 1), true) } },
      limits: { caller: { requests: { max: 1, per: "day" } } },
    });
    await ask(run);
    expect((await ask(run)).status).toBe(429);
    expect(asked).toBe(1);
  });

  it("keeps a caller from going around it: sockets, tokens, GET and queries are refused", async () => {
    for (const rule of [{ input: () => true }, { price: { perCall: 0.1 } }] as const) {
      const { ask, askPath, upstream } = await guard({
        endpoints: { "demo/echo": { ...rule, methods: ["POST", "GET"] } },
      });
      expect((await ask(`${run}?x=1`, get)).status).toBe(405);
      expect((await ask(`${run}?x=1`)).status).toBe(400);
      const token = await ask("https://rest.fal.ai/tokens/", { body: '{"allowed_apps":["demo/echo"]}' });
      expect(codeOf(token)).toBe("token_refused");
      const upgrade = [
        ["connection", "Upgrade"],
        ["upgrade", "websocket"],
        ["sec-websocket-version", "13"],
        ["sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="],
      ] as const;
      const socket = await askPath("https://fal.run/demo/echo/realtime", { ...get, headers: upgrade });
      expect([socket.status, codeOf(socket)]).toEqual([403, "realtime_refused"]);
      expect(upstream.connections).toBe(0);
    }
  });
});

describe("methods", () => {
  it("of run and stream are POST, unless the rule lists others", async () => {
    const { ask } = await guard({ endpoints: { "demo/echo": {}, "demo/read": { methods: ["POST", "GET"] } } });
    expect((await ask(run, get)).status).toBe(405);
    expect((await ask("https://fal.run/demo/read?q=1", get)).status).toBe(200);
    expect((await ask("https://fal.run/demo/read", { method: "DELETE" })).status).toBe(405);
  });
});

it("a job may be polled where its app is listed with a path only", async () => {
  const { ask } = await guard({ endpoints: ["demo/echo/fast"] });
  const id = idIn(await ask(`${submit}/fast`));
  expect((await ask(urlsOf(id).status, get)).status).toBe(202);
});

it("a rule with a field that does not exist is refused at creation, and a wrong price shows the right ones", () => {
  const create = (rule: object) => () => createKeyway({ authorize: byName, endpoints: { "a/b": rule as never } });
  expect(create({ limit: 3 })).toThrow(/has no field limit/);
  expect(create({ price: 5 })).toThrow(/perCall: 0\.04/);
  expect(create({ price: { perCall: Number.NaN } })).toThrow(/perCall: 0\.04/);
  expect(create({ input: 5 })).toThrow(/Standard Schema/);
  expect(create({ methods: [] })).toThrow(/methods of "a\/b"/);
  expect(create({ realtime: true })).toThrow(/realtime of "a\/b"/);
});

it("a body that is too large for a rule is told so, and not to raise an option that does not help", async () => {
  const { ask, upstream } = await guard({ endpoints: { "demo/echo": { input: () => true } } });
  const refused = await ask(run, { body: `{"a":"${"a".repeat(1024 * 1024)}"}` });
  expect([refused.status, codeOf(refused)]).toEqual([413, "body_too_large"]);
  expect(refused.body.toString()).toMatch(/which is all that a rule looks at/);
  expect(upstream.connections).toBe(0);
});
