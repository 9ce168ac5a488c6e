import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { type Authorize, type AuthorizeContext, type Caller, type Keyway, anonymous, createKeyway } from "@keyway/core";
import { describe, expect, it, vi } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { listenToConsole, codeOf, run, submit } from "../conformance/stage.ts";
import { type HeaderLine, type Received, valueIn } from "../wire.ts";
import { get, guard, idIn, transports, urlsOf } from "./ground.ts";

const secret = "a secret of the cookie, long";

function cookieIn({ headers }: Received): HeaderLine {
  const [pair = ""] = (valueIn(headers, "set-cookie") ?? "").split(";");
  return ["cookie", pair];
}

describe.each(transports)("authorize over %s", (transport) => {
  it("A01: nobody is let in unless that is stated", async () => {
    listenToConsole();
    const options = { endpoints: "any" } as unknown as Parameters<typeof createKeyway>[0];
    expect(() => createKeyway(options)).toThrow(/authorize must be stated/);
    const { upstream, ask } = await guard({ authorize: () => null }, transport);
    expect((await ask(run, { as: null })).status).toBe(401);
    expect(upstream.connections).toBe(0);
  });

  it.each<[string, Authorize]>([
    ["A02: throws", () => Promise.reject(new Error("down"))],
    ["A03: never answers", () => new Promise(() => undefined)],
  ])("%s: refused within its time, upstream not called", async (_name, authorize) => {
    const { upstream, ask } = await guard({ authorize, timeouts: { authorize: 30 } }, transport);
    const refused = await ask(run);
    expect([refused.status, codeOf(refused)]).toEqual([500, "authorize_failed"]);
    expect(upstream.connections).toBe(0);
  });

  it.each(["false", {}, 1, [], { id: "" }, { id: 7 }, "ada", true])("A04: %j is nobody", async (answer) => {
    const { upstream, ask } = await guard({ authorize: (() => answer) as Authorize }, transport);
    expect((await ask(run)).status).toBe(401);
    expect(upstream.connections).toBe(0);
  });

  it.each([
    [{ deny: true, message: "Your trial is over." }, 403, "denied", "Your trial is over."],
    [{ deny: true, message: "Sign in.", status: 401 }, 401, "unauthorized", "Sign in."],
    [{ deny: true }, 403, "denied", undefined],
    [{ deny: false, id: "ada" }, 403, "denied", undefined],
  ])("%j: %d", async (answer, status, code, message) => {
    const { upstream, ask } = await guard({ authorize: (() => answer) as unknown as Authorize }, transport);
    const refused = await ask(run);
    expect([refused.status, codeOf(refused)]).toEqual([status, code]);
    if (message !== undefined) expect(JSON.parse(refused.body.toString())).toMatchObject({ message, detail: message });
    expect(upstream.connections).toBe(0);
  });

  it("a cookie that it gives goes out with the answer, and a broken one does not", async () => {
    const given: Caller[] = [
      { id: "ada", setCookie: "theme=dark; Path=/" },
      { id: "ada", setCookie: "a=1\r\nx-injected: 1" },
    ];
    const { ask, log } = await guard({ authorize: () => given.shift() ?? null }, transport);
    expect(valueIn((await ask(run)).headers, "set-cookie")).toBe("theme=dark; Path=/");
    const second = await ask(run);
    expect(second.status).toBe(200);
    expect(valueIn(second.headers, "set-cookie")).toBeUndefined();
    expect(valueIn(second.headers, "x-injected")).toBeUndefined();
    expect(log.join("\n")).toContain("setCookie");
  });

  it("the caller's own bearer reaches authorize and stops there", async () => {
    const { upstream, ask } = await guard(
      {
        authorize: ({ headers }) => (headers.get("authorization") === "Key app-token" ? { id: "service" } : null),
      },
      transport,
    );
    const headers = [["authorization", "Key app-token"]] as const;
    expect((await ask(run, { as: null, headers })).status).toBe(200);
    expect(upstream.arrivals[0]?.values("authorization")).toEqual([`Key ${upstream.option.key}`]);
  });
});

describe("A18: a session that is revoked during a stream", () => {
  it.each(transports)("ends the stream visibly, over %s", async (transport) => {
    let revoked = false;
    const asked = vi.fn<Authorize>(() => (revoked ? null : { id: "ada" }));
    const { upstream, open, ended } = await guard({ authorize: asked, reauthorize: 40 }, transport);
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const incoming = await open("https://fal.run/demo/echo/stream");
    await incoming.read();
    await expect.poll(() => asked.mock.calls.length).toBeGreaterThan(2);
    revoked = true;
    expect((await incoming.rest()).broken).toBe(true);
    expect((await ended()).outcome).toBe("stopped");
    await upstream.arrivals[0]?.closed;
  });
});

describe.each(transports)("anonymous callers over %s", (transport) => {
  const limits = { caller: { requests: { max: 3, per: "day" } } } as const;

  it("get a signed, HttpOnly cookie once, and are known by it", async () => {
    const { ask } = await guard({ authorize: anonymous({ secret }) }, transport);
    const first = await ask(submit, { as: null });
    const line = valueIn(first.headers, "set-cookie");
    expect(line).toMatch(/^keyway_id=[0-9a-f-]{36}\.[\w-]{22}; Path=\/; HttpOnly; SameSite=Lax; Max-Age=31536000$/);
    const headers = [cookieIn(first), ["sec-fetch-site", "same-origin"]] as const;
    const status = await ask(urlsOf(idIn(first)).status, { as: null, headers, ...get });
    expect([status.status, valueIn(status.headers, "set-cookie")]).toEqual([202, undefined]);
    expect((await ask(urlsOf(idIn(first)).status, { as: null, ...get })).status).toBe(404);
  });

  it("get a Secure cookie where the app is reached over https, with the name and days that were stated", async () => {
    const authorize = anonymous({ secret, cookie: "visitor", days: 2 });
    const { ask } = await guard({ authorize, publicUrl: "https://app.example/api/fal/proxy" }, transport);
    expect(valueIn((await ask(run, { as: null })).headers, "set-cookie")).toMatch(
      /^__Host-visitor=.*; Path=\/; .*; Max-Age=172800; Secure$/,
    );
  });

  it("are somebody new with a forged cookie, and with one of another secret", async () => {
    const { ask } = await guard({ authorize: anonymous({ secret }) }, transport);
    const site = ["sec-fetch-site", "same-origin"] as const;
    const [, pair] = cookieIn(await ask(run, { as: null }));
    for (const forged of [`${pair.slice(0, -1)}${pair.endsWith("A") ? "B" : "A"}`, "keyway_id=x.y", "keyway_id="]) {
      const answer = await ask(run, { as: null, headers: [["cookie", forged], site] });
      expect(valueIn(answer.headers, "set-cookie")).toBeDefined();
    }
    const other = await guard({ authorize: anonymous({ secret: ["another secret, also long", secret] }) }, transport);
    expect(valueIn((await other.ask(run, { as: null, headers: [["cookie", pair], site] })).headers, "set-cookie")).toBe(
      undefined,
    );
    const rotated = await guard({ authorize: anonymous({ secret: "another secret, also long" }) }, transport);
    expect(
      valueIn((await rotated.ask(run, { as: null, headers: [["cookie", pair], site] })).headers, "set-cookie"),
    ).toBeDefined();
  });

  it("keep a stream that is their first call, though the app is asked about them again without a cookie", async () => {
    const { upstream, open } = await guard({ authorize: anonymous({ secret }), reauthorize: 20 }, transport);
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
      setTimeout(() => response.end("data: 2\n\n"), 300);
    });
    const { body, broken } = await (await open("https://fal.run/demo/echo/stream", { as: null })).rest();
    expect([body.toString(), broken]).toEqual(["data: 1\n\ndata: 2\n\n", false]);
  });

  it("of another origin without the cookie: one 401 that names the mend, and no identity", async () => {
    const origins = ["https://shop.example"];
    const publicUrl = "https://app.example/api/fal/proxy";
    const { upstream, ask } = await guard({ authorize: anonymous({ secret }), origins, publicUrl }, transport);
    const sites: HeaderLine[][] = [
      [["origin", "https://shop.example"]],
      [
        ["origin", "https://shop.example"],
        ["sec-fetch-site", "cross-site"],
      ],
      [
        ["origin", "https://shop.example"],
        ["sec-fetch-site", "same-site"],
      ],
    ];
    for (const headers of sites) {
      const refused = await ask(run, { as: null, headers });
      expect([refused.status, codeOf(refused)]).toEqual([401, "unauthorized"]);
      expect(refused.body.toString()).toContain('credentials: \\"include\\"');
      expect(valueIn(refused.headers, "set-cookie")).toBeUndefined();
    }
    expect(upstream.connections).toBe(0);
  });

  it("gain nothing by dropping the cookie: the address is counted too", async () => {
    const { ask } = await guard({ authorize: anonymous({ secret }), limits }, transport);
    const statuses = [];
    for (let time = 0; time < 4; time += 1) statuses.push((await ask(run, { as: null })).status);
    expect(statuses).toEqual([200, 200, 200, 429]);
  });

  it("gain nothing by it at an endpoint with limits of its own, nor with uploads", async () => {
    const endpoints = {
      "demo/*": { price: { perCall: 1 }, limits: { caller: { budget: { usd: 2, per: "day" } } } },
    } as const;
    const { ask } = await guard({ authorize: anonymous({ secret }), endpoints, uploads: { perMinute: 2 } }, transport);
    const upload = "https://rest.fal.ai/storage/upload/initiate";
    const [runs, uploads] = [[] as number[], [] as number[]];
    for (let time = 0; time < 4; time += 1) {
      runs.push((await ask(run, { as: null })).status);
      uploads.push((await ask(upload, { as: null })).status);
    }
    expect(runs).toEqual([200, 200, 402, 402]);
    expect(uploads.slice(2)).toEqual([429, 429]);
  });
});

it("anonymous callers get their cookie with the handshake of a WebSocket that is their first call, and keep the socket", async () => {
  const endpoints = { "demo/*": { realtime: "proxied" } } as const;
  const { upstream, path, ask } = await guard({ authorize: anonymous({ secret }), endpoints, reauthorize: 20 });
  const server = new WebSocketServer({ noServer: true });
  upstream.upgrade((request, socket, head) =>
    server.handleUpgrade(request, socket, head, (accepted) => accepted.on("message", (data) => accepted.send(data))),
  );
  const socket = new WebSocket(path("https://fal.run/demo/echo/realtime").replace("http:", "ws:"));
  const [[response]] = (await Promise.all([once(socket, "upgrade"), once(socket, "open")])) as [
    [IncomingMessage],
    unknown,
  ];
  const [line = ""] = response.headers["set-cookie"] ?? [];
  expect(line).toMatch(/^keyway_id=.*; HttpOnly; SameSite=Lax/);
  const cookie = ["cookie", line.split(";")[0] ?? ""] as const;
  const known = await ask(run, { as: null, headers: [cookie, ["sec-fetch-site", "same-origin"]] });
  expect([known.status, valueIn(known.headers, "set-cookie")]).toEqual([200, undefined]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  socket.send("still there");
  expect(String(await once(socket, "message"))).toContain("still there");
  socket.close();
  await once(socket, "close");
});

it("a short secret for anonymous callers is refused, and one that is not set", () => {
  expect(() => anonymous({ secret: "short" })).toThrow(/at least 16 characters/);
  expect(() => anonymous({ secret: [] })).toThrow(/at least 16 characters/);
  const unset = { secret: undefined as unknown as string }; // as JavaScript may call it
  expect(() => anonymous(unset)).toThrow(/at least 16 characters/);
});

describe("addresses", () => {
  /** Asks `times` runs from the addresses one after another, and says how many were let through. */
  async function admitted(addresses: readonly string[], given: { trustProxy?: number; header?: boolean } = {}) {
    const { trustProxy = 0, header = false } = given;
    listenToConsole();
    const keyway = createKeyway({
      authorize: "public",
      endpoints: "any",
      trustProxy,
      limits: { caller: { requests: { max: 2, per: "day" } } },
      upstream: { url: "http://127.0.0.1:9", key: "none" },
    });
    let count = 0;
    for (const address of addresses) if (await passes(keyway, address, header)) count += 1;
    return count;
  }

  async function passes(keyway: Keyway, address: string, header: boolean): Promise<boolean> {
    const headers = new Headers({ "x-fal-target-url": run, "content-type": "application/json" });
    if (header) headers.set("x-forwarded-for", address);
    const request = new Request("http://localhost/api/fal/proxy", { method: "POST", headers, body: "{}" });
    const { status } = await keyway.fetch(request, { address: header ? "127.0.0.1" : address });
    return status !== 429;
  }

  it("Q04, A23: a rotating X-Forwarded-For is one bucket where no proxy is trusted", async () => {
    expect(await admitted(["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"], { header: true })).toBe(2);
  });

  it("A23: with n hops the n-th entry from the right counts, whatever stands left of it", async () => {
    const forged = ["9.9.9.1, 5.5.5.5", "9.9.9.2, 5.5.5.5", "9.9.9.3, 5.5.5.5", "9.9.9.4, 6.6.6.6"];
    expect(await admitted(forged, { header: true, trustProxy: 1 })).toBe(3);
  });

  it("Q05: a thousand addresses of one IPv6 /64 are one bucket, the next /64 is another", async () => {
    const addresses = Array.from({ length: 1000 }, (_, at) => `2001:db8:1:2::${at.toString(16)}`);
    expect(await admitted([...addresses, "2001:db8:1:3::1"])).toBe(3);
  });

  it("Q06: ::ffff:1.2.3.4 and 1.2.3.4 are one bucket", async () => {
    expect(await admitted(["::ffff:1.2.3.4", "1.2.3.4", "::FFFF:1.2.3.4", "1.2.3.4"])).toBe(2);
  });
});

describe("groups", () => {
  it("share the limits of a caller between their members", async () => {
    const { ask } = await guard({
      authorize: ({ headers }) => ({ id: headers.get("authorization") ?? "", group: "team" }),
      limits: { caller: { requests: { max: 2, per: "day" } } },
    });
    const statuses = [];
    for (const as of ["ada", "bob", "eve"]) statuses.push((await ask(run, { as })).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it("share a budget", async () => {
    const { ask } = await guard({
      authorize: ({ headers }) => ({ id: headers.get("authorization") ?? "", group: "team" }),
      endpoints: { "demo/*": { price: { perCall: 0.6 } } },
      limits: { caller: { budget: { usd: 1, per: "day" } } },
    });
    expect((await ask(run)).status).toBe(200);
    const refused = await ask(run, { as: "bob" });
    expect([refused.status, codeOf(refused)]).toEqual([402, "budget_exceeded"]);
  });
});

describe("ids of callers", () => {
  async function count(ids: readonly string[], groups: readonly (string | undefined)[] = []): Promise<number> {
    let at = -1;
    const { ask } = await guard({
      authorize() {
        at += 1;
        const group = groups[at];
        return { id: ids[at] ?? "", ...(group === undefined ? {} : { group }) };
      },
      limits: { caller: { requests: { max: 1, per: "day" } } },
    });
    let passed = 0;
    for (const _ of ids) if ((await ask(run)).status === 200) passed += 1;
    return passed;
  }

  it("Q07: a:b with group c, and a with group b:c, are not taken for each other", async () => {
    expect(await count(["a:b", "a"], ["c", "b:c"])).toBe(2);
    expect(await count(["caller x", "x"], ["x", "caller x"])).toBe(2);
  });

  it("Q08: of 10 KB, with *, line breaks and NUL, become keys of one length without a letter of theirs", async () => {
    const ids = ["x".repeat(10_240), "*", "a\r\nSET b 1", "nul\u0000", "ü"];
    const { keyway } = await guard();
    const hashes = await Promise.all(ids.map((id) => keyway.callerHash(id)));
    for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{32}$/);
    expect(new Set(hashes).size).toBe(ids.length);
    expect(await count(ids)).toBe(ids.length);
  });

  it("Q09: __proto__, constructor and toString are counted like any other", async () => {
    const ids = ["__proto__", "constructor", "toString", "__proto__", "constructor"];
    expect(await count(ids)).toBe(3);
  });
});

describe("A19, A22: what has no say in who calls", () => {
  it("a token in the query, x-original-url and their like", async () => {
    const seen: AuthorizeContext["call"][] = [];
    const { upstream, ask, askPath, events, log } = await guard({
      authorize({ call, headers }) {
        seen.push(call);
        return headers.get("authorization") === null ? null : { id: "ada" };
      },
    });
    const headers = [
      ["x-original-url", "/public"],
      ["x-rewrite-url", "/public"],
      ["x-forwarded-uri", "/public"],
      ["x-middleware-subrequest", "middleware"],
    ] as const;
    expect((await ask(run, { as: null, headers })).status).toBe(401);
    expect((await ask(run, { headers })).status).toBe(200);
    const forwarded = upstream.arrivals[0]?.headers.map(([name]) => name.toLowerCase()) ?? [];
    expect(forwarded.filter((name) => name.startsWith("x-"))).toEqual([]);
    expect(seen.map(({ endpoint }) => endpoint)).toEqual(["demo/echo", "demo/echo"]);
    const secretToken = "canary-token-0123456789";
    await askPath(`${run}?fal_token=${secretToken}`, { as: null });
    await askPath(`https://queue.fal.run/demo/echo?access_token=${secretToken}`);
    expect(JSON.stringify(events) + log.join("\n")).not.toContain(secretToken);
    expect(upstream.arrivals).toHaveLength(1);
  });

  it("A15, A16, A17: a cross-site form post with a cookie", async () => {
    const { upstream, ask } = await guard();
    const cookie = ["cookie", "session=ada"] as const;
    for (const type of [
      "text/plain",
      "text/plain; application/json",
      "TEXT/PLAIN",
      "text/plain\t;x",
      "application/json",
    ]) {
      for (const origin of ["https://evil.example", "null"]) {
        const answer = await ask(run, { as: null, type, headers: [cookie, ["origin", origin]] });
        expect(answer.status).toBe(403);
      }
      const answer = await ask(run, { as: null, type, headers: [cookie, ["sec-fetch-site", "cross-site"]] });
      expect(answer.status).toBe(403);
    }
    expect(upstream.connections).toBe(0);
  });

  it.each(["/api/fal/proxy;x", "/api/fal/proxy/%2e%2e/x", "/api/FAL/proxy", "//api/fal/proxy", "/api/fal/proxy/"])(
    "A21: %s is decided as the clean path is",
    async (path) => {
      const { upstream, mounted, ask } = await guard();
      const { send } = await import("../wire.ts");
      const url = new URL(mounted.url).origin + path;
      const headers = [
        ["x-fal-target-url", run],
        ["content-type", "application/json"],
      ] as const;
      expect([401, 404, 400]).toContain((await send(url, { method: "POST", headers, body: "{}" })).status);
      expect(upstream.connections).toBe(0);
      expect((await ask(run)).status).toBe(200);
    },
  );
});
