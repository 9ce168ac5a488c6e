import { execFileSync } from "node:child_process";
import { createHmac, createSign, generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { encode as encodeAuthJs } from "@auth/core/jwt";
import { fal } from "@fal-ai/client";
import type { Authorize, Keyway } from "@keyway/core";
import { type Emulator, createEmulator } from "@keyway/emulator";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";

// What docs/protect-your-key.md and docs/sessions.md show is written to files, type-checked as one project, and run before the emulator.

const root = join(import.meta.dirname, "../..");
const pages = ["protect-your-key", "sessions"].map((name) => readFileSync(join(root, `docs/${name}.md`), "utf8"));
const fences = new Map(
  [...pages.join("\n").matchAll(/```ts\n\/\/ (\S+)\n([^]*?)```/g)].map(([, name = "", code = ""]) => [name, code]),
);
const here = mkdtempSync(join(import.meta.dirname, "docs-"));
const clerk = generateKeyPairSync("rsa", { modulusLength: 2048 });

/** What the pages' files import and the reader has: his sessions. */
const given: Readonly<Record<string, string>> = {
  "lib/session.ts": `export const userOfSession = async (cookie: string | undefined): Promise<{ id: string; plan: string } | null> =>
    cookie === undefined ? null : { id: cookie, plan: cookie.split("-")[0] ?? "" };`,
  "lib/auth.ts": `import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
export const auth = betterAuth({
  baseURL: "https://app.example",
  secret: "a secret of Better Auth, for this test",
  database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
  emailAndPassword: { enabled: true },
});`,
  "page/supabase.ts": `export const supabase = {
  auth: { getSession: async () => ({ data: { session: { access_token: "a.b.c" } as { access_token: string } | null } }) },
};`,
  "tsconfig.json": JSON.stringify({
    extends: "../../tsconfig.json",
    compilerOptions: { customConditions: ["@keyway/source"] },
    include: ["**/*.ts"],
    references: [],
  }),
};

/** What the test needs of Better Auth. */
interface Auth {
  readonly api: {
    signUpEmail(given: {
      body: { email: string; password: string; name: string };
      asResponse: true;
    }): Promise<Response>;
  };
}

let emulator: Emulator;

beforeAll(async () => {
  for (const [name, text] of [...Object.entries(given), ...fences]) {
    mkdirSync(dirname(join(here, name)), { recursive: true });
    writeFileSync(join(here, name), text);
  }
  emulator = createEmulator({ timeScale: 0 });
  vi.stubEnv("KEYWAY_UPSTREAM", (await emulator.listen()).url);
  vi.stubEnv("PUBLIC_URL", "https://app.example/api/fal/proxy");
  vi.stubEnv("COOKIE_SECRET", "a secret of the cookie, long");
  vi.stubEnv("AUTH_SECRET", "auth-secret");
  vi.stubEnv("SUPABASE_JWT_SECRET", "supabase-secret");
  vi.stubEnv("CLERK_JWT_KEY", clerk.publicKey.export({ type: "spki", format: "pem" }).toString());
  for (const level of ["info", "warn"] as const) vi.spyOn(console, level).mockImplementation(() => undefined);
});

afterAll(async () => {
  rmSync(here, { recursive: true });
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  await emulator.close();
});

async function load<Exports>(name: string): Promise<Exports> {
  expect([...fences.keys()]).toContain(name);
  return (await import(/* @vite-ignore */ join(here, name))) as Exports;
}

/** Asks in the name of a session, as a page of the app does. */
async function ask(keyway: Keyway, target: string, cookie: string | undefined, input: unknown = {}): Promise<Response> {
  const headers = new Headers({ "x-fal-target-url": target, "content-type": "application/json" });
  if (cookie !== undefined) headers.set("cookie", cookie);
  headers.set("sec-fetch-site", "same-origin");
  const method = target.includes("/requests/") ? "GET" : "POST";
  const body = method === "GET" ? null : JSON.stringify(input);
  const response = await keyway.fetch(new Request("https://app.example/api/fal/proxy", { method, headers, body }));
  return new Response(await response.arrayBuffer(), response);
}

it("has at most 200 lines a page, and no block that is not run here", () => {
  for (const page of pages) expect(page.split("\n").length).toBeLessThanOrEqual(201);
  expect(pages.join("\n").match(/```ts/g)).toHaveLength(fences.size);
});

it("is type-checked", { timeout: 60_000 }, () => {
  const tsc = join(root, "node_modules/.bin/tsc");
  const problems = (): string => {
    try {
      return execFileSync(tsc, ["--noEmit", "-p", here], { encoding: "utf8", cwd: root });
    } catch (error) {
      return String((error as { stdout?: unknown }).stdout);
    }
  };
  expect(problems()).toBe("");
});

function bodyOf({ body }: { readonly body: unknown }): unknown {
  return body instanceof Uint8Array ? JSON.parse(Buffer.from(body).toString()) : body;
}

const flux = "https://fal.run/fal-ai/flux";

describe("the steps", () => {
  it("1: who, and what", async () => {
    const { keyway } = await load<{ keyway: Keyway }>("lib/keyway.ts");
    expect((await ask(keyway, `${flux}/dev`, "session=ada", { prompt: "a cat" })).status).toBe(200);
    expect((await ask(keyway, `${flux}/dev`, undefined)).status).toBe(401);
    expect((await ask(keyway, `${flux}/pro`, "session=ada")).status).toBe(403);
  });

  it("2: without a login", async () => {
    const { keyway } = await load<{ keyway: Keyway }>("lib/anonymous.ts");
    const first = await ask(keyway, `${flux}/schnell`, undefined, { prompt: "a cat" });
    expect([first.status, first.headers.get("set-cookie")]).toEqual([200, expect.stringContaining("HttpOnly")]);
    const cookie = first.headers.get("set-cookie")?.split(";")[0];
    const second = await ask(keyway, `${flux}/schnell`, cookie, { prompt: "a cat" });
    expect([second.status, second.headers.get("set-cookie")]).toEqual([200, null]);
    expect(second.headers.get("ratelimit-policy")).toContain('"caller";q=20;w=86400');
  });

  it("3, 4: inputs, limits and money", async () => {
    const { keyway, usageOf, settle, stop } = await load<{
      keyway: Keyway;
      usageOf: Keyway["usage"];
      settle: Keyway["settle"];
      stop: Keyway["pause"];
    }>("lib/money.ts");
    const refused = await ask(keyway, `${flux}/dev`, "session=ada", { prompt: "a cat", num_images: 3 });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("input_refused")]);
    const first = emulator.nextCall(({ kind }) => kind === "run");
    expect((await ask(keyway, `${flux}/dev`, "session=ada", { prompt: "a cat", num_images: 2 })).status).toBe(200);
    expect(bodyOf(await first)).toEqual({ prompt: "a cat", num_images: 2, enable_safety_checker: true });
    await expect.poll(() => usageOf("ada")).toMatchObject({ spent: 0.05, reserved: 0, left: 1.95 });
    expect(console.info).toHaveBeenCalledWith("ada", "fal-ai/flux/dev", 0.05);
    const second = emulator.nextCall(({ kind }) => kind === "run");
    await ask(keyway, `${flux}/schnell`, "session=ada", { prompt: "a cat", num_images: 4 });
    expect(bodyOf(await second)).toEqual({ prompt: "a cat" });
    for (let job = 0; job < 5; job += 1)
      expect((await ask(keyway, "https://queue.fal.run/fal-ai/flux/dev", "session=bob", { prompt: "x" })).status).toBe(
        200,
      );
    let settled = 0;
    await expect.poll(async () => (settled += await settle())).toBe(5);
    await stop();
    expect((await ask(keyway, `${flux}/dev`, "session=ada", { prompt: "a cat" })).status).toBe(403);
    await keyway.resume();
  });

  it("4: plans", async () => {
    const { keyway, usageOf } = await load<{
      keyway: Keyway;
      usageOf: (session: string) => ReturnType<Keyway["usage"]>;
    }>("lib/plans.ts");
    const run = async (user: string) =>
      (await ask(keyway, `${flux}/dev`, `session=${user}`, { prompt: "a cat", num_images: 2 })).status;
    expect([await run("free-kim"), await run("free-kim"), await run("free-kim")]).toEqual([200, 200, 402]);
    expect(await usageOf("free-kim")).toMatchObject({ spent: 0.1, left: 0, budget: { usd: 0.1, per: "day" } });
    expect([await run("pro-lee"), await run("nobody")]).toEqual([200, 402]);
  });

  it("5: on the server", async () => {
    const { draw, jobOf } = await load<{
      draw: (user: string, prompt: string) => Promise<{ request_id: string }>;
      jobOf: Keyway["openJob"];
    }>("lib/actions.ts");
    const { keyway } = await load<{ keyway: Keyway }>("lib/money.ts");
    const { request_id: id } = await draw("eve", "a cat");
    const status = `https://queue.fal.run/fal-ai/flux/requests/${id}/status`;
    expect((await ask(keyway, status, "session=eve")).ok).toBe(true);
    expect((await ask(keyway, status, "session=bob")).status).toBe(404);
    expect(await jobOf(id)).toEqual({ falRequestId: id.slice(0, -23), caller: "eve", endpoint: "fal-ai/flux/dev" });
    expect(await jobOf("another")).toBeNull();
    await keyway.close();
  });

  it("6: look at what happens", async () => {
    const { keyway } = await load<{ keyway: Keyway }>("lib/watch.ts");
    expect((await ask(keyway, `${flux}/dev`, "session=ada")).status).toBe(401);
    expect(console.info).toHaveBeenCalledWith("warning", "limits.global.budget", expect.any(String));
  });
});

describe("sessions", () => {
  async function who(name: string, headers: Readonly<Record<string, string>>, secure = false) {
    const file = name === "clerk" || name === "supabase" ? "lib/with-tokens.ts" : "lib/with-cookies.ts";
    const authorize = (await load<Record<string, Authorize>>(file))[name];
    if (authorize === undefined) throw new Error(`${file} has no ${name}`);
    const cookies = new Map(
      (headers["cookie"] ?? "").split("; ").map((pair) => pair.split("=", 2) as [string, string]),
    );
    return authorize({
      call: { kind: "run", method: "POST", host: "fal.run", endpoint: "a/b", app: "a/b" },
      headers: new Headers(headers),
      cookie: (cookie) => cookies.get(cookie),
      address: undefined,
      secure,
      ownOrigin: "https://app.example",
      native: undefined,
    });
  }

  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const soon = Math.floor(Date.now() / 1000) + 60;

  it("of Auth.js", async () => {
    const cookieOf = async (name: string, given: { sub?: string; secret?: string; maxAge?: number } = {}) => {
      const { sub = "ada", secret = "auth-secret", maxAge = 60 } = given;
      return { cookie: `${name}=${await encodeAuthJs({ token: { sub }, secret, salt: name, maxAge })}` };
    };
    const name = "authjs.session-token";
    expect(await who("authJs", await cookieOf(name))).toEqual({ id: "ada" });
    expect(await who("authJs", await cookieOf(`__Secure-${name}`), true)).toEqual({ id: "ada" });
    expect(await who("authJs", await cookieOf(name), true)).toBeNull();
    expect(await who("authJs", await cookieOf(name, { secret: "forged" }))).toBeNull();
    expect(await who("authJs", await cookieOf(name, { maxAge: -60 }))).toBeNull();
    expect(await who("authJs", {})).toBeNull();
  });

  it("of Better Auth", async () => {
    const { auth } = (await import(/* @vite-ignore */ join(here, "lib/auth.ts"))) as { auth: Auth };
    const user = { email: "ada@app.example", password: "a long password", name: "Ada" };
    const signedUp = await auth.api.signUpEmail({ body: user, asResponse: true });
    const { user: known } = (await signedUp.json()) as { user: { id: string } };
    const cookie = signedUp.headers.getSetCookie().map((line) => line.split(";", 1)[0]);
    expect(await who("betterAuth", { cookie: cookie.join("; ") })).toEqual({ id: known.id });
    const forged = cookie.map((pair) => pair?.replace(/session_token=[^.]{4}/, "session_token=eve0"));
    expect(forged).not.toEqual(cookie);
    expect(await who("betterAuth", { cookie: forged.join("; ") })).toBeNull();
    expect(await who("betterAuth", {})).toBeNull();
  });

  it("of Clerk", async () => {
    const token = (claims: object, key = clerk.privateKey): string => {
      const text = `${encode({ alg: "RS256", typ: "JWT", kid: "ins_1" })}.${encode(claims)}`;
      return `${text}.${createSign("RSA-SHA256").update(text).sign(key).toString("base64url")}`;
    };
    const claims = { sub: "user_ada", iat: soon - 120, exp: soon, nbf: soon - 120, azp: "https://app.example" };
    const asks = (text: string) => who("clerk", { cookie: `__session=${text}` });
    expect(await asks(token(claims))).toEqual({ id: "user_ada" });
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
    const [head = "", , mark = ""] = token(claims).split(".");
    const bad = [
      token(claims, other),
      token({ ...claims, exp: soon - 120 }),
      token({ ...claims, nbf: soon + 600 }),
      token({ ...claims, azp: "https://evil.example" }),
      token({ ...claims, sub: undefined }),
      `${head}.${encode({ ...claims, sub: "user_eve" })}.${mark}`,
      `${encode({ alg: "none" })}.${encode(claims)}.`,
      "nonsense",
      "",
    ];
    for (const text of bad) expect(await asks(text)).toBeNull();
  });

  it("of Supabase", async () => {
    const token = (claims: object, secret = "supabase-secret"): string => {
      const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(claims)}`;
      return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
    };
    const claims = { sub: "ada", role: "authenticated", aud: "authenticated", exp: soon };
    const asks = (text: string) => who("supabase", { authorization: `Bearer ${text}` });
    expect(await asks(token(claims))).toEqual({ id: "ada" });
    expect(await who("supabase", { authorization: `Key ${token(claims)}` })).toEqual({ id: "ada" });
    const bad = [
      token(claims, "other"),
      token({ ...claims, exp: 1 }),
      token({ ...claims, aud: "anon" }),
      token({ ...claims, sub: undefined }),
      "a.b.c",
      "",
    ];
    for (const text of bad) expect(await asks(text)).toBeNull();
    expect(await who("supabase", {})).toBeNull();
  });

  it("of Supabase, as the page sends it", async () => {
    const asked: [url: unknown, headers: unknown][] = [];
    vi.stubGlobal("window", { document: {} });
    vi.stubGlobal("fetch", async (url: unknown, { headers }: RequestInit) => {
      asked.push([url, headers]);
      return Response.json({});
    });
    onTestFinished(() => void vi.unstubAllGlobals());
    await load("page/fal.ts");
    await fal.run("fal-ai/any-llm", { input: { prompt: "a" } });
    const headers = { "x-fal-target-url": "https://fal.run/fal-ai/any-llm", authorization: "Bearer a.b.c" };
    expect(asked).toEqual([["/api/fal/proxy", expect.objectContaining(headers)]]);
  });
});
