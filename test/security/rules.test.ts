import { createHash, createPublicKey, verify } from "node:crypto";
import { createKeyway, createMemoryStore, ProxyError } from "@keyway/core";
import { verifyWebhook } from "@keyway/core/webhooks";
import fc from "fast-check";
import { afterAll, describe, expect, it, vi } from "vitest";
import { mountPath } from "../conformance/mount.ts";
import { createSigner } from "../webhooks/signer.ts";
import { hold, runs, seed } from "./property.ts";
import { scrub } from "../../packages/core/src/observe.ts";

afterAll(() => void process.stdout.write(`properties 7 to 10: ${runs} runs each, seed ${seed}\n`));

describe("(7) limits hold under any interleaving", () => {
  /** What callers do, one after the other; `many` begins several calls before the first is decided. */
  type Step =
    | { readonly do: "call"; readonly many: number }
    | { readonly do: "end"; readonly which: number; readonly how: "complete" | "cut" | "left" | "unsent" };
  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant("call" as const), many: fc.integer({ min: 1, max: 6 }) }),
      fc.record({
        do: fc.constant("end" as const),
        which: fc.nat(20),
        how: fc.constantFrom("complete" as const, "cut" as const, "left" as const, "unsent" as const),
      }),
    ),
    { maxLength: 30 },
  );
  const caps = fc.record({
    streams: fc.integer({ min: 1, max: 5 }),
    requests: fc.integer({ min: 1, max: 25 }),
    cents: fc.integer({ min: 1, max: 15 }),
  });

  it("as a model of them says", async () => {
    await hold(fc.tuple(caps, steps), async ([{ streams, requests, cents }, script]) => {
      const keyway = createKeyway({
        authorize: () => ({ id: "ada" }),
        endpoints: { "demo/**": { price: { perCall: 0.01 } } },
        limits: {
          caller: { streams, requests: { max: requests, per: "day" }, budget: { usd: cents / 100, per: "day" } },
        },
        store: createMemoryStore({ now: () => 1_800_000_000_000 }),
        upstream: { url: "http://127.0.0.1:1", key: "k" },
      });
      const work: Promise<unknown>[] = [];
      const call = async () => keyway.plan(doorTo(work));
      const open: Extract<Awaited<ReturnType<typeof call>>, { type: "exchange" }>[] = [];
      let counted = 0;
      let spent = 0;
      for (const step of script as readonly Step[]) {
        if (step.do === "call") {
          const decided = await Promise.all(Array.from({ length: step.many }, call));
          const admitted = decided.filter((one) => one.type === "exchange");
          const places = Math.min(streams - open.length, requests - counted, cents - spent - open.length);
          expect(admitted.length).toBe(Math.max(0, Math.min(step.many, places)));
          counted += admitted.length;
          open.push(...admitted);
        } else {
          const [ended] = open.splice(step.which % Math.max(1, open.length), 1);
          if (ended === undefined) continue;
          if (step.how !== "unsent") ended.head({ status: 200, headers: [] });
          ended.end(step.how, { status: 200, bytesIn: 0, bytesOut: 0 });
          if (step.how !== "unsent") spent += 1;
        }
        await Promise.all(work.splice(0));
        const usage = await keyway.usage("ada");
        expect(usage).toMatchObject({ spent: spent / 100, reserved: open.length / 100 });
        expect(usage.spent + usage.reserved).toBeLessThanOrEqual(cents / 100 + 1e-9);
      }
    });
  });
});

function doorTo(work: Promise<unknown>[]): Parameters<ReturnType<typeof createKeyway>["plan"]>[0] {
  return {
    head: {
      method: "POST",
      path: mountPath,
      query: null,
      mount: undefined,
      headers: [
        ["x-fal-target-url", "https://fal.run/demo/echo/stream"],
        ["content-type", "application/json"],
      ],
      address: "10.0.0.1",
      secure: false,
      upgrade: false,
    },
    native: undefined,
    codings: "identity",
    closing: false,
    body: async () => new TextEncoder().encode("{}"),
    isGone: () => false,
    waitUntil: (one) => void work.push(one),
  };
}

describe("(8) a delivery is believed if and only if the reference verifier believes it", () => {
  const signer = createSigner();
  const stranger = createSigner();
  const now = 1_800_000_000;
  const change = fc.oneof(
    fc.constant("none" as const),
    fc.constantFrom("body", "request", "user", "time", "stranger", "case", "truncated"),
  );

  /** Node's own Ed25519 over the four lines, and nothing of Keyway's. */
  function reference(headers: Readonly<Record<string, string>>, body: Uint8Array): boolean {
    const value = (name: string): string => headers[`x-fal-webhook-${name}`] ?? "";
    const hash = createHash("sha256").update(body).digest("hex");
    const message = [value("request-id"), value("user-id"), value("timestamp"), hash].join("\n");
    const [key] = signer.jwks.keys;
    const isInTime = Math.abs(now - Number(value("timestamp"))) <= 300;
    const signature = /^[0-9a-f]{128}$/i.test(value("signature"))
      ? Buffer.from(value("signature"), "hex")
      : Buffer.alloc(0);
    return (
      isInTime &&
      key !== undefined &&
      verify(null, Buffer.from(message), createPublicKey({ key, format: "jwk" }), signature)
    );
  }

  it("whatever was changed on the way", async () => {
    let believed = 0;
    const deliveries = fc.tuple(
      fc.uint8Array({ maxLength: 100 }),
      fc.integer({ min: -400, max: 400 }),
      change,
      fc.nat(),
    );
    await hold(deliveries, async ([body, drift, what, at]) => {
      const by = what === "stranger" ? stranger : signer;
      const headers = by.headers(body, { now: now + drift });
      const sent = Uint8Array.from(what === "body" ? [...body, at % 256] : body);
      const touch = (name: string, to: (value: string) => string): void => {
        headers[`x-fal-webhook-${name}`] = to(headers[`x-fal-webhook-${name}`] ?? "");
      };
      if (what === "request") touch("request-id", (value) => `${value}x`);
      if (what === "user") touch("user-id", (value) => value.slice(1));
      if (what === "time") touch("timestamp", (value) => String(Number(value) + 1));
      if (what === "case") touch("signature", (value) => value.toUpperCase());
      if (what === "truncated") touch("signature", (value) => value.slice(0, at % value.length));
      const { ok } = await verifyWebhook({ headers, body: sent, jwks: signer.jwks, now });
      expect(ok).toBe(reference(headers, sent));
      if (ok) believed += 1;
    });
    expect(believed).toBeGreaterThan(runs / 10);
  });
});

describe("(9) any options make an instance, or one error without what is secret", () => {
  const secret = "0f1e2d3c-canary:4b5a69788796a5b4c3d2e1f0";
  const anything = fc.oneof(
    fc.anything({ maxDepth: 2 }),
    fc.constantFrom(
      secret,
      [secret],
      { key: secret },
      `${secret}\n`,
      ` ${secret}`,
      Buffer.from(secret),
      () => secret,
      Symbol(secret),
    ),
  );
  const good = {
    authorize: fc.constantFrom("public", () => null),
    endpoints: fc.constantFrom("any", ["demo/**"], { "demo/**": {} }),
    apiKey: fc.constantFrom(secret, () => secret),
    secret: fc.constantFrom(secret, [secret, `${secret}2`]),
    upstream: fc.constant({ url: "http://127.0.0.1:1", key: secret }),
    publicUrl: fc.constant("https://app.example/api/fal/proxy"),
    limits: fc.constant({ caller: { streams: 1 } }),
    webhooks: fc.constant({ onResult: () => undefined }),
    timeouts: fc.constant({ drain: 1 }),
    uploads: fc.constant(false),
  };
  const names = [
    "origins",
    "realtime",
    "store",
    "forwardHeaders",
    "trustProxy",
    "observe",
    "onSpend",
    "abandoned",
    "ownership",
    "reauthorize",
    "namespace",
    "maxBodyBytes",
    "dryRun",
    "sockets",
  ];
  const fields = {
    ...Object.fromEntries(names.map((name) => [name, anything])),
    ...Object.fromEntries(
      Object.entries(good).map(([name, right]) => [
        name,
        fc.oneof({ weight: 6, arbitrary: right }, { weight: 1, arbitrary: anything }),
      ]),
    ),
  };
  const configurations = fc.oneof(
    { weight: 9, arbitrary: fc.record(fields, { requiredKeys: ["authorize", "endpoints"] }) },
    { weight: 9, arbitrary: fc.record(good, { requiredKeys: ["authorize", "endpoints"] }) },
    { weight: 1, arbitrary: fc.record(fields, { requiredKeys: [] }) },
    { weight: 1, arbitrary: anything },
  );

  it("and says nothing secret aloud", async () => {
    const said: string[] = [];
    const spies = (["error", "warn", "log"] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation((...words) => void said.push(words.map(String).join(" "))),
    );
    let made = 0;
    let refused = 0;
    await hold(configurations, async (options) => {
      try {
        const keyway = createKeyway(options as Parameters<typeof createKeyway>[0]);
        expect(typeof keyway.plan).toBe("function");
        made += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(ProxyError);
        expect((error as ProxyError).code).toBe("invalid_option");
        expect(String((error as ProxyError).stack)).not.toContain("4b5a6978");
        refused += 1;
      }
    });
    for (const spy of spies) spy.mockRestore();
    expect(said.join("\n")).not.toContain("4b5a6978");
    expect([made > runs / 20, refused > runs / 20]).toEqual([true, true]);
  });
});

describe("(10) no eight characters of the key in a row are ever written, in any coding", () => {
  const hex = (length: number) =>
    fc.string({ unit: fc.constantFrom(...Array.from("0123456789abcdef")), minLength: length, maxLength: length });
  const keys = fc.oneof(
    fc.tuple(fc.uuid(), hex(32)).map(([id, part]) => `${id}:${part}`),
    fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 16,
      maxLength: 60,
    }),
  );
  const codings: readonly ((key: string) => string)[] = [
    (key) => key,
    encodeURIComponent,
    (key) => Buffer.from(key).toString("hex"),
    (key) => Buffer.from(key).toString("hex").toUpperCase(),
    (key) => Buffer.from(key).toString("base64"),
    (key) => Buffer.from(key).toString("base64url"),
    (key) => Buffer.from(`Key ${key}`).toString("base64"),
    (key) => Buffer.from(`ab${key}`).toString("base64url"),
  ];
  /** A whole coding of the key, or a part of one, among other words. */
  const pieces = fc.array(
    fc.record({
      coding: fc.nat(codings.length - 1),
      from: fc.nat(40),
      length: fc.nat(120),
      word: fc.string({ maxLength: 12 }),
    }),
    { maxLength: 6 },
  );

  it("of the key or of a part of it", async () => {
    await hold(fc.tuple(keys, pieces), async ([key, list]) => {
      const text = list
        .map(({ coding, from, length, word }) => word + (codings[coding]?.(key) ?? "").slice(from, from + length))
        .join("");
      const clean = scrub(text, [key]).replaceAll("[redacted]", "\u0000");
      for (const coding of codings.slice(0, 6)) {
        const form = coding(key).replace(/=+$/, "");
        // The last character of base64 is decided by what follows too.
        const runsOfForm = Array.from({ length: Math.max(0, form.length - 8) }, (_, at) => form.slice(at, at + 8));
        expect(runsOfForm.filter((run) => clean.includes(run))).toEqual([]);
      }
    });
  });
});
