import { createServer } from "node:http";
import { createFalClient } from "@fal-ai/client";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { createAuthority } from "../certificates.ts";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { startUpstream } from "../upstream.ts";
import { send } from "../wire.ts";
import { type Surroundings, key, leadTo, start, startGateway, token } from "./command.ts";
import { useEmulator } from "./emulator.ts";

leaveNothingOpen();

const emulator = useEmulator();

const echo = "https://fal.run/demo/echo";

function startOnEmulator(
  args: readonly string[] = [],
  surroundings: Surroundings = {},
): ReturnType<typeof startGateway> {
  return startGateway(args, { ...surroundings, env: { ...leadTo(emulator), ...surroundings.env } });
}

/** A call in header form, or in path form with an empty target. */
function post(url: string, target: string, authorization?: string): ReturnType<typeof fetch> {
  const named = target === "" ? {} : { "x-fal-target-url": target };
  const headers = { "content-type": "application/json", ...named };
  const who = authorization === undefined ? headers : { ...headers, authorization };
  return fetch(url, { method: "POST", headers: { ...who, connection: "close" }, body: '{"prompt":"x"}' });
}

/** The status of a handshake, 101 when it was taken; a socket that opened says what came back to one message. */
function shakeHands(url: string, authorization?: string): Promise<{ status: number; message: string | undefined }> {
  const socket = new WebSocket(
    url.replace(/^http/, "ws"),
    authorization === undefined ? {} : { headers: { authorization } },
  );
  return new Promise((resolve, reject) => {
    socket.on("open", () => socket.send('{"prompt":"x","request_id":"r-1"}'));
    socket.on("message", (bytes: Buffer) => {
      socket.on("close", () => resolve({ status: 101, message: bytes.toString() })).close();
    });
    socket.on("unexpected-response", (_request, response) => {
      response.resume().on("close", () => resolve({ status: response.statusCode ?? 0, message: undefined }));
    });
    socket.on("error", reject);
  });
}

describe("keyway serve", () => {
  it("takes the real client's run, subscribe and stream, and WebSockets, at one mount", async () => {
    const { url, said } = await startOnEmulator();
    const fal = createFalClient({
      proxyUrl: { url, when: "always" },
      requestMiddleware: async (request) => ({
        ...request,
        headers: { ...request.headers, authorization: `Bearer ${token}`, connection: "close" },
      }),
    });
    expect((await fal.run("demo/echo", { input: { prompt: "x" } })).data).toEqual({ prompt: "x" });
    expect((await fal.subscribe("demo/echo", { input: { prompt: "y" } })).data).toEqual({ prompt: "y" });
    const stream = await fal.stream("demo/stream", { input: { prompt: "z" } });
    let events = 0;
    for await (const _event of stream) events += 1;
    expect(events).toBeGreaterThan(1);
    const socket = await shakeHands(`${url}/fal.run/demo/realtime/realtime`, `Bearer ${token}`);
    expect(socket.message).toContain("r-1");
    expect(said()).toContain(`Calls go to ${emulator.url}, not to fal.ai.`);
  });

  it("lets in nobody but its tokens, and what is nowhere is 404", async () => {
    const { url } = await startOnEmulator([], { env: { KEYWAY_TOKEN: `old-token-0123456789, ${token}` } });
    const asked: readonly (string | undefined)[] = [
      undefined,
      "Bearer ",
      "Bearer token-0123456789abcdeX",
      `Bearer ${token}X`,
      `Basic ${token}`,
      token,
    ];
    for (const authorization of asked) {
      expect([authorization, (await post(url, echo, authorization)).status]).toEqual([authorization, 401]);
      expect((await shakeHands(`${url}/fal.run/demo/realtime/realtime`, authorization)).status).toBe(401);
    }
    for (const authorization of [`Bearer ${token}`, `Key ${token}`, "bearer old-token-0123456789"])
      expect((await post(url, echo, authorization)).status).toBe(200);
    expect((await post(url, "https://fal.run/other/app", `Bearer ${token}`)).status).toBe(403);
    const { origin } = new URL(url);
    for (const path of ["", "/api/fal/proxyx", "/other/fal.run/demo/echo"]) {
      const answer = await post(origin + path, echo, `Bearer ${token}`);
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([404, "route_not_found"]);
      expect((await shakeHands(`${origin}${path}/fal.run/demo/realtime/realtime`, `Bearer ${token}`)).status).toBe(404);
    }
  });

  it("takes WebSockets below its mount where a proxy in front has another path for it", async () => {
    for (const publicUrl of ["https://fal.example", "https://fal.example/fal"]) {
      const { url } = await startOnEmulator(["--public-url", publicUrl, "--mount", "/api/fal/proxy"]);
      const opened = await shakeHands(`${url}/fal.run/demo/realtime/realtime`, `Bearer ${token}`);
      expect(opened.status).toBe(101);
    }
  });

  it("answers a call that offers another protocol than WebSocket, as curl --http2 does, where Node can", async () => {
    const { url } = await startOnEmulator();
    const answer = await send(`${url}/fal.run/demo/echo`, {
      method: "POST",
      headers: [
        ["authorization", `Bearer ${token}`],
        ["content-type", "application/json"],
        ["connection", "Upgrade, HTTP2-Settings"],
        ["upgrade", "h2c"],
        ["http2-settings", "AAMAAABkAAQAAP__"],
      ],
      body: '{"a":1}',
    });
    const ignores = "shouldUpgradeCallback" in createServer();
    expect([answer.status, answer.body.toString()]).toEqual(ignores ? [200, '{"a":1}'] : [405, expect.any(String)]);
  });

  it("keeps a job when the token it was made with is taken out", async () => {
    const one = await startOnEmulator([], { env: { KEYWAY_TOKEN: "old-token-0123456789" } });
    const answer = await post(one.url, "https://queue.fal.run/demo/echo", "Bearer old-token-0123456789");
    const { request_id: id } = (await answer.json()) as { request_id: string };
    const two = await startOnEmulator();
    const read = (as: string): ReturnType<typeof send> =>
      send(two.url, {
        headers: [
          ["x-fal-target-url", `https://queue.fal.run/demo/echo/requests/${id}/status`],
          ["authorization", `Bearer ${as}`],
        ],
      });
    expect((await read(token)).status).toBe(200);
    expect((await read("old-token-0123456789")).status).toBe(401);
  });

  it("says that it lives and is ready, and nothing else", async () => {
    const { url, said } = await startOnEmulator([], {
      env: { KEYWAY_REDIS_URL: "redis://:redis-password@127.0.0.1:1" },
    });
    const { origin } = new URL(url);
    const health = await send(`${origin}/healthz`);
    expect([health.status, health.body.toString()]).toEqual([200, '{"status":"ok"}']);
    expect(health.headers).toContainEqual(["cache-control", "no-store, private"]);
    const ready = await send(`${origin}/readyz`);
    expect([ready.status, ready.body.toString()]).toEqual([503, '{"status":"store unavailable"}']);
    expect((await post(url, echo, `Bearer ${token}`)).status).toBe(500);
    expect(said()).toContain("Redis is away: ECONNREFUSED");
    expect(said()).not.toContain("redis-password");
    const alone = await startOnEmulator();
    expect((await send(`${new URL(alone.url).origin}/readyz`)).status).toBe(200);
  });

  it("speaks TLS, at the path of its public URL", async () => {
    const authority = createAuthority();
    const { key: privateKey, cert } = authority.issue(["localhost"]);
    const { url } = await startOnEmulator(
      [
        "--tls-cert",
        "cert.pem",
        "--tls-key",
        "key.pem",
        "--public-url",
        "https://app.example/fal",
        "--host",
        "localhost",
      ],
      { files: { "cert.pem": cert, "key.pem": privateKey } },
    );
    expect(url).toMatch(/^https:\/\/localhost:\d+\/fal$/);
    const socket = new WebSocket(`${url.replace("https", "wss")}/fal.run/demo/realtime/realtime`, {
      ca: authority.cert,
      headers: { authorization: `Bearer ${token}` },
    });
    await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    await new Promise((resolve) => socket.on("close", resolve).close());
  });

  it.each([
    ["nothing is said", [], {}, true],
    ["NODE_ENV says something else", [], { NODE_ENV: "test" }, true],
    ["NODE_ENV=development", [], { NODE_ENV: "development" }, false],
    ["--dev, whatever NODE_ENV says", ["--dev"], { NODE_ENV: "production" }, false],
  ] as const)("is in production or not: %s", async (_what, args, env, production) => {
    const config = `console.log("the file sees", process.env.NODE_ENV);
      export default { upstream: { url: "${emulator.url}", key: "emulator" } };`;
    const { url, said } = await startGateway(args, { env, files: { "keyway.config.mjs": config } });
    const submitted = await post(`${url}/queue.fal.run/demo/echo`, "", `Bearer ${token}`);
    const { code, status_url: status } = (await submitted.json()) as Record<string, string>;
    expect((await post(`${url}/fal.run/demo/echo`, "", `Bearer ${token}`)).status).toBe(200);
    if (production) {
      expect([submitted.status, code]).toEqual([500, "public_url_missing"]);
      expect(said()).toContain("Add it: --public-url https://fal.example/api/fal/proxy, or --dev");
      expect(said()).not.toContain("development");
    } else {
      expect(status?.startsWith(`${url}/queue.fal.run/demo/echo/requests/`)).toBe(true);
      expect(said()).toContain("[keyway] development mode: for this machine only");
    }
    expect(said()).toContain(`the file sees ${production ? "production" : "development"}`);
  });

  it("in production a public URL on this machine is as good as any", async () => {
    const files = { "keyway.config.mjs": `export default { upstream: { url: "${emulator.url}", key: "emulator" } };` };
    const publicUrl = "http://127.0.0.1:4200/api/fal/proxy";
    const { url, said } = await startGateway(["--public-url", publicUrl, "--daily-requests", "9"], { files });
    const submitted = await post(`${url}/queue.fal.run/demo/echo`, "", `Bearer ${token}`);
    const { status_url: status } = (await submitted.json()) as Record<string, string>;
    expect(status?.startsWith(`${publicUrl}/queue.fal.run/`)).toBe(true);
    expect(said()).not.toContain("[keyway]");
  });

  it("counts the day's cap over all callers", async () => {
    const { url } = await startOnEmulator(["--daily-requests", "2"]);
    const statuses = [];
    for (let left = 3; left > 0; left -= 1) statuses.push((await post(url, echo, `Bearer ${token}`)).status);
    expect(statuses).toEqual([200, 200, 429]);
  });

  it("tells webhooks.onResult of a job whose webhook never came", async () => {
    const config = `export default {
      webhooks: { url: "http://127.0.0.1:1/hooks", onResult: ({ endpoint, status }) => console.log("told of", endpoint, status) },
      settleEvery: 100,
    };`;
    const gateway = await startOnEmulator([], { files: { "keyway.config.mjs": config } });
    const answer = await post(gateway.url, "https://queue.fal.run/demo/echo", `Bearer ${token}`);
    expect(answer.status).toBe(200);
    expect(await gateway.line(/told of .*/)).toBe("told of demo/echo OK");
  });

  it("reads a config in TypeScript; flags and environment go before it; the key goes upstream and nowhere else", async () => {
    const recorded = await startUpstream();
    onTestFinished(() => recorded.close());
    const config = `
      import type { GatewayConfig } from "@keyway/cli";
      const upstream: { url: string; key: string } = { url: "${recorded.url}", key: "${key}" };
      export default {
        authorize: ({ cookie }) => (cookie("session") === "ada" ? { id: "ada" } : null),
        endpoints: ["demo/**"],
        port: 1,
        publicUrl: "https://app.example/from/file",
        upstream,
        log: true,
      } satisfies GatewayConfig;`;
    const gateway = start(["serve", "--public-url", "https://app.example/from/flag"], {
      env: { FAL_KEY: key, KEYWAY_PORT: "0" },
      files: { "keyway.config.ts": config },
    });
    const url = await gateway.line(/gateway is at (\S+)/);
    expect(new URL(url).pathname).toBe("/from/flag");
    const answer = await send(url, {
      method: "POST",
      headers: [
        ["x-fal-target-url", echo],
        ["content-type", "application/json"],
        ["cookie", "session=ada"],
      ],
      body: "{}",
    });
    expect(answer.status).toBe(200);
    expect(recorded.arrivals.map((arrival) => arrival.values("authorization"))).toEqual([[`Key ${key}`]]);
    await gateway.line(/"type":"call"/);
    expect(gateway.said()).not.toContain("fal-key-secret");
  });
});

it("keyway emulator is the emulator's own command", async () => {
  const { child, line, exit } = start(["emulator", "--port", "0"]);
  const url = await line(/KEYWAY_UPSTREAM=(\S+)/);
  const headers = { authorization: "Key any", connection: "close" };
  expect((await fetch(`${url}/fal.run/demo/echo`, { method: "POST", headers, body: "{}" })).status).toBe(200);
  child.kill("SIGTERM");
  expect(await exit).toEqual({ code: 0, signal: null });
});
