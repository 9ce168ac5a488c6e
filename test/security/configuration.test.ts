import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { inspect } from "node:util";
import express from "express";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type KeywayOptions, createKeyway } from "@keyway/core";
import { createHandler } from "@keyway/express";
import { byName } from "../conformance/stage.ts";
import { listen } from "../conformance/mount.ts";
import { mounts } from "../conformance/mounts/all.ts";
import { always, listenOnFreePort, respond } from "../upstream.ts";
import { send } from "../wire.ts";
import { type Field, type Ground, open, prepareGround, setVariable, startField } from "./ground.ts";
import { ask, codeOf, run, valuesOf } from "./row.ts";

const elsewhere: Readonly<Record<string, string>> = {
  C23: "core needs Request, Response and WebCrypto and nothing of Node; its tsconfig knows no node types",
  C28: "the Redis store has its own suite, where this row stands",
};

const root = join(import.meta.dirname, "../..");
let ground: Ground;

beforeAll(async () => {
  ground = await prepareGround();
});

afterAll(async () => {
  await ground.close();
  for (const [id, why] of Object.entries(elsewhere)) process.stdout.write(`${id}: does not apply, because ${why}\n`);
});

const restored = new Map<string, string | undefined>();

/** Sets a variable until the test is over. */
function withVariable(name: string, value: string): void {
  if (!restored.has(name)) restored.set(name, process.env[name]);
  process.env[name] = value;
}

afterEach(() => {
  for (const [name, value] of restored) setVariable(name, value);
  restored.clear();
});

/** What creating says; fails when nothing is refused. */
function refusalOf(options: object): string {
  try {
    createKeyway({ ...open, ...options } as KeywayOptions);
  } catch (error) {
    return String(error);
  }
  throw new Error(`nothing was refused: ${inspect(options)}`);
}

describe("at creation", () => {
  it.each([
    "NEXT_PUBLIC_FAL_KEY",
    "VITE_FAL_KEY",
    "PUBLIC_FAL_KEY",
    "REACT_APP_FAL_KEY",
    "NUXT_PUBLIC_FAL_KEY",
    "EXPO_PUBLIC_FAL_KEY",
  ])("C07 %s is refused by name, without its value", (name) => {
    withVariable(name, "canary-c07:value");
    expect(refusalOf({})).toContain(name);
    expect(refusalOf({})).not.toContain("canary-c07");
  });

  it("C08 a page's bundle gets a module that throws and exports nothing", async () => {
    const manifest: { exports: { ".": Record<string, string> } } = JSON.parse(
      readFileSync(join(root, "packages/core/package.json"), "utf8"),
    );
    const conditions = Object.keys(manifest.exports["."]);
    const first = conditions.find((name) => ["browser", "import", "default"].includes(name)) ?? "";
    expect(manifest.exports["."][first]).toBe("./dist/browser.js");
    await expect(import("../../packages/core/src/browser.ts")).rejects.toThrow("runs on the server only");
  });

  it("C12 a misspelt option is refused with the one that was meant", () => {
    expect(refusalOf({ endpoint: ["demo/**"] })).toContain("did you mean endpoints?");
    expect(refusalOf({ trustproxy: 1 })).toContain("did you mean trustProxy?");
    expect(refusalOf({ timeouts: { conect: 1 } })).toContain("did you mean connect?");
    expect(refusalOf({ allowedEndpoints: ["demo/**"] })).toContain("endpoints:");
  });

  it("C14 a bare ** is refused and told what to write", () => {
    expect(refusalOf({ endpoints: ["**"] })).toContain('endpoints: "any"');
  });

  it.each(["+(a|b)*(c|+(d|e))", "*(*(*(a|b)))", "(a+)+$", "a/{b,c}", "a/[b-c]", "a/b?", "a/**b", "!a/b"])(
    "C15 the pattern %s is refused",
    (pattern) => {
      expect(refusalOf({ endpoints: [pattern] })).toContain("is not owner/alias");
    },
  );

  it("C15 sixty-four times **/ against a path of 8 KB is refused like any other", async () => {
    const keyway = createKeyway({ ...open, endpoints: [`a/${"**/".repeat(64)}z`] });
    const target = `https://fal.run/a/${"b/".repeat(4000)}c`;
    const request = new Request("http://127.0.0.1/api/fal/proxy", {
      method: "POST",
      headers: { "x-fal-target-url": target, authorization: "Bearer ada", "content-type": "application/json" },
      body: "{}",
    });
    expect((await keyway.fetch(request)).status).toBe(403);
  });

  it.each([
    "https://fal.run/demo/echo",
    "fal.run/demo/echo",
    "demo/../echo",
    "demo",
    "",
    "/demo/echo",
    "demo//echo",
    1,
    null,
  ])("C16 the pattern %j is refused", (pattern) => {
    expect(refusalOf({ endpoints: [pattern] })).toMatch(/pattern/);
  });

  it("C17 switched-off certificate checks are refused in production", () => {
    withVariable("NODE_ENV", "production");
    withVariable("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    expect(refusalOf({})).toContain("NODE_TLS_REJECT_UNAUTHORIZED");
  });

  it("C26 a key alone lets nobody in: who may call must be stated", () => {
    expect(() => createKeyway({ endpoints: "any" } as unknown as KeywayOptions)).toThrow("authorize must be stated");
    expect(() => createKeyway({ authorize: byName } as unknown as KeywayOptions)).toThrow("endpoints must be stated");
    withVariable("NODE_ENV", "production");
    expect(refusalOf({ authorize: "public" })).toContain("limits");
  });

  it.each([0, -1, Number.NaN, "10mb", Number.POSITIVE_INFINITY])("C27 a limit of %j is refused", (value) => {
    const wrong = [
      { maxBodyBytes: value },
      { reauthorize: value },
      { timeouts: { head: value } },
      { uploads: { perMinute: value } },
    ];
    for (const options of wrong) refusalOf(options);
    if (value !== 0) refusalOf({ trustProxy: value });
    if (value !== 0) refusalOf({ limits: { caller: { requests: { max: value, per: "minute" } } } });
    if (value !== 0)
      refusalOf({
        endpoints: { "demo/**": { price: { perCall: 0 } } },
        limits: { caller: { budget: { usd: value, per: "day" } } },
      });
  });
});

describe("in words", () => {
  const security = readFileSync(join(root, "docs/security.md"), "utf8");

  it.each([
    ["C11", "NODE_DEBUG"],
    ["C18", "NODE_USE_ENV_PROXY"],
  ])("%s the operator is told of %s", (_id, name) => {
    expect(security).toContain(name);
  });
});

describe("Express", () => {
  /** An app of the test's own on a free port. */
  async function serve(
    options: Partial<KeywayOptions>,
    build: (proxy: ReturnType<typeof createHandler>) => express.Express,
  ): Promise<{ url: string; readonly close: () => Promise<unknown> }> {
    const proxy = createHandler({ ...open, ...options });
    const mounted = await listen(createServer(build(proxy)), proxy);
    return { url: new URL(mounted.url).origin, close: () => mounted.close() };
  }

  const sent = {
    method: "POST",
    headers: [
      ["authorization", "Bearer ada"],
      ["content-type", "application/json"],
      ["x-fal-target-url", run],
    ] as const,
    body: '{"a": 1.0}',
  };

  beforeAll(() => ground.upstream.answer(always(200, { "content-type": "application/json" }, "{}")));

  it("C19 trust proxy: true makes no address of what a caller writes", async () => {
    const addresses: (string | undefined)[] = [];
    const authorize: typeof byName = (context) => {
      addresses.push(context.address);
      return byName(context);
    };
    const { url, close } = await serve({ authorize }, (proxy) => express().set("trust proxy", true).use("/fal", proxy));
    await send(`${url}/fal`, { ...sent, headers: [...sent.headers, ["x-forwarded-for", "6.6.6.6"]] });
    await close();
    expect(addresses).toEqual(["127.0.0.1"]);
  });

  it("C20 behind express.json(): one clear 500 and a line for the log", async () => {
    const { url, close } = await serve({}, (proxy) => express().use(express.json()).use("/fal", proxy));
    const before = ground.upstream.arrivals.length;
    const { status, body } = await send(`${url}/fal`, sent);
    await close();
    expect([status, JSON.parse(body.toString())]).toMatchObject([500, { code: "body_consumed" }]);
    expect(ground.upstream.arrivals.length).toBe(before);
    expect(ground.log.at(-1) ?? "").not.toBe("");
    expect(ground.log.some((line) => line.includes("Mount the proxy first"))).toBe(true);
  });

  it("C20 behind express.json() that keeps the raw bytes: byte-exact", async () => {
    const verify = (request: object, _response: unknown, bytes: Buffer): void =>
      void Object.assign(request, { rawBody: bytes });
    const { url, close } = await serve({}, (proxy) => express().use(express.json({ verify })).use("/fal", proxy));
    expect((await send(`${url}/fal`, sent)).status).toBe(200);
    await close();
    expect(Buffer.concat(ground.upstream.arrivals.at(-1)?.received ?? []).toString()).toBe(sent.body);
  });

  it("C21 a stream tells compressing middleware to keep away", async () => {
    ground.upstream.answer(
      ({ response }) => void response.writeHead(200, { "content-type": "text/event-stream" }).end("data: 1\n\n"),
    );
    const { url, close } = await serve({}, (proxy) => express().use("/fal", proxy));
    const reply = await send(`${url}/fal`, sent);
    await close();
    ground.upstream.answer(always(200, { "content-type": "application/json" }, "{}"));
    expect(valuesOf(reply, "cache-control").join()).toContain("no-transform");
  });

  it("C22 mounted twice and at the root, each answers once", async () => {
    const { url, close } = await serve({}, (proxy) => express().use("/a", proxy).use("/b", proxy).use(proxy));
    const before = ground.upstream.arrivals.length;
    for (const path of ["/a", "/b", "/", "/other"]) expect((await send(url + path, sent)).status).toBe(200);
    const byPath = { ...sent, headers: sent.headers.slice(0, 2) };
    for (const path of ["/a", "/b", ""])
      expect((await send(`${url}${path}/fal.run/demo/echo`, byPath)).status).toBe(200);
    await close();
    expect(ground.upstream.arrivals.length - before).toBe(7);
  });
});

describe.each(mounts)("$name", (mount) => {
  async function withField(options: Partial<KeywayOptions>, play: (field: Field) => Promise<void>): Promise<void> {
    ground.upstream.answer(always(200, { "content-type": "application/json" }, "{}"));
    const field = await startField(ground, mount, options);
    try {
      await play(field);
    } finally {
      await field.mounted.close();
    }
  }

  it("C09 nothing that the app holds shows the key", async () => {
    const apiKey = "canary-c09:0123456789abcdef0123456789abcdef";
    await withField({ apiKey }, async ({ mounted }) => {
      for (const held of [mounted.held, mounted.server]) {
        const shown = inspect(held, { depth: 6, showHidden: true, getters: true });
        expect(shown).not.toContain("canary-c09");
        expect(String(held)).not.toContain("canary-c09");
      }
      expect(JSON.stringify(mounted.held) ?? "").not.toContain("canary-c09");
    });
  });

  it("C10 no error, and no cause of one, shows the key", async () => {
    const key = "canary-c10:0123456789abcdef";
    const before = ground.log.length;
    for (const apiKey of [() => `${key}\r\nx: y`, () => Promise.reject(new Error("no vault")), () => `${key}\u00e9`]) {
      await withField({ apiKey, secret: "0123456789abcdef" }, async (field) => {
        const [reply] = await ask(field, {});
        expect([reply?.status, codeOf(reply)]).toEqual([500, "key_missing"]);
        expect(reply?.body.toString()).not.toContain("canary-c10");
      });
    }
    expect(ground.log.slice(before).join("\n")).not.toContain("canary-c10");
  });

  it("C13 an empty list allows nothing", async () => {
    for (const endpoints of [[], {}]) {
      await withField({ endpoints }, async (field) => {
        const before = ground.upstream.arrivals.length;
        expect(codeOf((await ask(field, {}))[0])).toBe("endpoint_refused");
        expect(ground.upstream.arrivals.length).toBe(before);
      });
    }
  });

  it("C18 proxies named in the environment are not asked", async () => {
    const asked: string[] = [];
    const trap: Server = createServer((request, response) => void response.end(String(asked.push(request.url ?? ""))));
    trap.on("connect", (request, socket) => {
      asked.push(request.url ?? "");
      socket.destroy();
    });
    const port = await listenOnFreePort(trap);
    for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"])
      withVariable(name, `http://127.0.0.1:${port}`);
    await withField({}, async (field) => {
      expect((await ask(field, {}))[0]?.status).toBe(200);
    });
    await new Promise((resolve) => trap.close(resolve));
    expect(asked).toEqual([]);
  });

  it("C24 a key that is changed under load: nothing fails, and the old one is not used again", async () => {
    let key = "first-key:0123456789abcdef";
    await withField({ apiKey: () => key, secret: "0123456789abcdef" }, async (field) => {
      const { arrivals } = field.ground.upstream;
      const before = arrivals.length;
      const statuses: (number | undefined)[] = [];
      const several = async (): Promise<void> => {
        for (let index = 0; index < 20; index += 1) statuses.push((await ask(field, {}))[0]?.status);
      };
      const load = Promise.all([several(), several(), several(), several()]);
      await ask(field, {});
      key = "second-key:0123456789abcdef";
      const changed = arrivals.length;
      await load;
      expect(statuses).toEqual(statuses.map(() => 200));
      const keys = arrivals.slice(before).map((arrival) => arrival.values("authorization")[0]);
      expect(new Set(keys)).toEqual(new Set(["Key first-key:0123456789abcdef", "Key second-key:0123456789abcdef"]));
      const late = keys.slice(changed - before + 8);
      expect(new Set(late)).toEqual(new Set(["Key second-key:0123456789abcdef"]));
    });
  });

  it("C25 two tenants' keys never cross in 1,000 interleaved requests", { timeout: 60_000 }, async () => {
    const apiKey = ({ id }: { id: string }): string => `tenant-${id}:0123456789abcdef`;
    await withField({ apiKey, secret: "0123456789abcdef" }, async (field) => {
      ground.upstream.answer(({ request, response }) =>
        respond(response, 200, {}, [request.headers["x-fal-tags"], request.headers.authorization].join(" ")),
      );
      const tenant = async (id: string): Promise<void> => {
        for (let index = 0; index < 50; index += 1) {
          const [reply] = await ask(field, {
            without: ["authorization"],
            lines: [`authorization: Bearer ${id}`, `x-fal-tags: ${id}${index}`],
          });
          expect(reply?.body.toString()).toBe(`${id}${index} Key tenant-${id}:0123456789abcdef`);
        }
      };
      await Promise.all(Array.from({ length: 20 }, (_, index) => tenant(index % 2 === 0 ? "one" : "two")));
    });
  });
});

it("nothing died", () => {
  expect(ground.deaths).toEqual([]);
});
