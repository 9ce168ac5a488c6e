import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { parseCall } from "../call.ts";
import type { HeaderList } from "../head.ts";
import { type KeywayOptions, resolveOptions } from "../options.ts";
import type { Door } from "../seam.ts";
import { type AuthorizeContext, type Identified, type KnownCaller, identifyCaller } from "./caller.ts";
import { parseTarget } from "./target.ts";

const call = parseCall(parseTarget("https://fal.run/fal-ai/flux/dev"), "POST", false);
let logged = "";

beforeEach(() => {
  logged = "";
  vi.spyOn(console, "error").mockImplementation((line) => void (logged += `${line}\n`));
});
afterEach(() => vi.restoreAllMocks());

const door: Door = {
  head: {
    method: "POST",
    path: "/p",
    query: null,
    mount: undefined,
    headers: [
      ["authorization", "Bearer token"],
      ["cookie", "session=a%20b"],
      ["x-twice", "1"],
      ["x-twice", "2"],
      ["x-forwarded-for", "6.6.6.6, 1.1.1.1"],
    ],
    address: "::ffff:10.0.0.1",
    secure: false,
    upgrade: false,
  },
  native: { url: "/p" },
  codings: "pass",
  closing: false,
  body: async () => new Uint8Array(0),
  isGone: () => false,
  waitUntil: () => undefined,
};

/** `authorize` as JavaScript may write it. */
async function identifyWhole(
  authorize: unknown,
  options: Partial<KeywayOptions> = {},
  from = door,
): Promise<Identified> {
  const settings = resolveOptions({
    authorize: authorize as KeywayOptions["authorize"],
    endpoints: "any",
    apiKey: "key-id:key-secret",
    ...options,
  });
  return identifyCaller(from, call, settings);
}

async function identify(...args: Parameters<typeof identifyWhole>): Promise<KnownCaller> {
  return (await identifyWhole(...args)).caller;
}

it("knows whom authorize names, at once or later", async () => {
  const known = {
    id: "ada",
    hash: expect.stringMatching(/^[0-9a-f]{32}$/),
    isPublic: false,
    group: undefined,
    limits: expect.any(Object),
    jobs: expect.stringMatching(/^keyway:2:jobs-of:[0-9a-f]{32}$/),
    replays: expect.stringMatching(/^keyway:2:replay:[0-9a-f]{32}$/),
  };
  expect(await identify(() => ({ id: "ada" }))).toEqual(known);
  expect(await identify(async () => ({ id: "ada", name: "Ada" }))).toEqual(known);
});

it("tells authorize what it may need", async () => {
  let seen: AuthorizeContext | undefined;
  await identify(
    (context: AuthorizeContext) => {
      seen = context;
      return { id: "ada" };
    },
    { trustProxy: 1 },
  );
  expect(seen?.call).toEqual({
    kind: "run",
    method: "POST",
    host: "fal.run",
    endpoint: "fal-ai/flux/dev",
    app: "fal-ai/flux",
  });
  expect(seen?.headers.get("authorization")).toBe("Bearer token");
  expect(seen?.headers.get("x-twice")).toBe("1, 2");
  expect(seen?.cookie("session")).toBe("a b");
  expect(seen?.cookie("other")).toBeUndefined();
  expect(seen?.address).toBe("1.1.1.1");
  expect(seen?.native).toBe(door.native);
});

it("tells authorize where the app is: by publicUrl, else as this process sees it", async () => {
  const at = async (options: Partial<KeywayOptions>, head: Partial<Door["head"]> = {}): Promise<unknown> => {
    let seen: unknown;
    const authorize = ({ secure, ownOrigin }: AuthorizeContext): null => {
      seen = { secure, ownOrigin };
      return null;
    };
    const from = { ...door, head: { ...door.head, ...head } };
    await expect(identify(authorize, options, from)).rejects.toMatchObject({ code: "unauthorized" });
    return seen;
  };
  const headers: HeaderList = [["host", "app.example:3000"]];
  expect(await at({})).toEqual({ secure: false, ownOrigin: undefined });
  expect(await at({}, { headers })).toEqual({ secure: false, ownOrigin: "http://app.example:3000" });
  expect(await at({}, { headers, secure: true })).toEqual({ secure: true, ownOrigin: "https://app.example:3000" });
  const publicUrl = "https://a.example/p";
  expect(await at({ publicUrl }, { headers })).toEqual({ secure: true, ownOrigin: "https://a.example" });
  expect(await at({ publicUrl: "http://a.example/p" }, { secure: true })).toMatchObject({ secure: false });
});

describe("a caller may bring", () => {
  it("a second name to count by, which is nobody's first", async () => {
    const { hash, group } = await identify(() => ({ id: "ada", group: "team" }));
    expect(group).toMatch(/^[0-9a-f]{32}$/);
    expect((await identify(() => ({ id: "bob", group: "team" }))).group).toBe(group);
    expect((await identify(() => ({ id: "team", group: "ada" }))).hash).not.toBe(group);
    expect((await identify(() => ({ id: "team", group: "ada" }))).group).not.toBe(hash);
    expect((await identify(() => ({ id: "ada", group: "" }))).group).toBeUndefined();
  });
  it("a cookie for the answer", async () => {
    const setCookie = "visitor=abc; HttpOnly; Path=/";
    expect(await identifyWhole(() => ({ id: "ada", setCookie }))).toMatchObject({ caller: { id: "ada" }, setCookie });
    expect((await identifyWhole(() => ({ id: "ada" }))).setCookie).toBeUndefined();
    expect((await identifyWhole("public")).setCookie).toBeUndefined();
    expect(logged).toBe("");
  });
  it.each(["a=1\r\nx: 1", "a=1\n", "a=\u0000", "a=ä", "", 5, null, { a: 1 }])(
    "%j is no cookie: it is left out, and the operator is told",
    async (setCookie) => {
      const { caller, setCookie: sent } = await identifyWhole(() => ({ id: "ada", setCookie }));
      expect(caller.id).toBe("ada");
      expect(sent).toBeUndefined();
      expect(logged).toContain("setCookie");
    },
  );
});

describe("whatever is not clearly yes is no", () => {
  it.each([
    [null, "unauthorized"],
    [undefined, "unauthorized"],
    [false, "unauthorized"],
    [true, "unauthorized"],
    ["ada", "unauthorized"],
    ["false", "unauthorized"],
    [1, "unauthorized"],
    [{}, "unauthorized"],
    [[], "unauthorized"],
    [{ id: "" }, "unauthorized"],
    [{ id: 5 }, "unauthorized"],
    [{ id: null }, "unauthorized"],
    [{ user: "ada" }, "unauthorized"],
    [() => ({ id: "ada" }), "unauthorized"],
    [Object.create({ id: 5 }), "unauthorized"],
    [{ deny: true }, "denied"],
    [{ deny: true, id: "ada" }, "denied"],
    [{ deny: false, id: "ada" }, "denied"],
  ])("%j → %s", async (answer, code) => {
    await expect(identify(() => answer)).rejects.toMatchObject({ code });
    await expect(identify(async () => answer)).rejects.toMatchObject({ code });
  });
  it.each([
    ["throws", () => boom()],
    ["rejects", async () => Promise.reject(new Error("boom"))],
    ["throws nothing", () => boom(null)],
    ["throws late", async () => void (await Promise.resolve(), boom())],
    ["hangs", () => new Promise(() => undefined)],
  ])("authorize that %s", async (_name, authorize) => {
    await expect(identify(authorize, { timeouts: { authorize: 20 } })).rejects.toMatchObject({
      code: "authorize_failed",
      status: 500,
    });
  });
});

function boom(error: unknown = new Error("boom")): never {
  throw error;
}

it("a denial may say why, in few words", async () => {
  await expect(identify(() => ({ deny: true, message: "Trial over." }))).rejects.toMatchObject({
    status: 403,
    message: "Trial over.",
  });
  await expect(identify(() => ({ deny: true, message: "x".repeat(900) }))).rejects.toMatchObject({
    message: "x".repeat(500),
  });
  await expect(identify(() => ({ deny: true, message: 5 }))).rejects.toMatchObject({
    message: "This caller may not make this call.",
  });
});

it("a denial may be a 401, and is 403 under any other status", async () => {
  const denied = { deny: true, message: "Bring your cookie." };
  await expect(identify(() => ({ ...denied, status: 401 }))).rejects.toMatchObject({
    code: "unauthorized",
    status: 401,
    message: "Bring your cookie.",
  });
  for (const status of [403, 200, 500, "401", undefined])
    await expect(identify(() => ({ ...denied, status }))).rejects.toMatchObject({ code: "denied", status: 403 });
});

describe("names", () => {
  const hashOf = async (id: string, namespace = "keyway"): Promise<string> =>
    (await identify(() => ({ id }), { namespace })).hash;
  it("are never mixed up, and show nobody", async () => {
    const ids = ["a:b", "a", "b", "__proto__", "constructor", "*", "\r\n\u0000", "x".repeat(10_000), "ä"];
    const hashes = await Promise.all(ids.map((id) => hashOf(id)));
    expect(new Set(hashes).size).toBe(ids.length);
    expect(await hashOf("b:c", "a")).not.toBe(await hashOf("c", "a:b"));
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{32}$/);
  });
});

describe('"public"', () => {
  const from = (address: string | undefined): Door => ({ ...door, head: { ...door.head, address, headers: [] } });
  it("counts by network", async () => {
    const [one, same, mapped, other, none] = await Promise.all(
      ["2001:db8::1", "2001:db8::ffff", "::ffff:1.2.3.4", "1.2.3.4", undefined].map(
        async (address) => (await identify("public", {}, from(address))).hash,
      ),
    );
    expect(one).toBe(same);
    expect(mapped).toBe(other);
    expect(new Set([one, other, none]).size).toBe(3);
  });
  it("believes X-Forwarded-For only behind hops", async () => {
    const spoofing = (value: string): Door => ({
      ...door,
      head: { ...door.head, headers: [["x-forwarded-for", value]] },
    });
    const hashes = await Promise.all(
      ["1.1.1.1", "2.2.2.2"].map(async (value) => (await identify("public", {}, spoofing(value))).hash),
    );
    expect(new Set(hashes).size).toBe(1);
    const behind = await Promise.all(
      ["1.1.1.1", "2.2.2.2"].map(async (value) => (await identify("public", { trustProxy: 1 }, spoofing(value))).hash),
    );
    expect(new Set(behind).size).toBe(2);
  });
});

it("a wrong answer is explained to the operator, not to the caller", async () => {
  await expect(identify(() => ({ user: "ada" }))).rejects.toMatchObject({
    message: expect.not.stringContaining("authorize"),
    log: expect.stringContaining('{ id: "…" }'),
  });
  expect(logged).toBe("");
});
