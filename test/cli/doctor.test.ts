import { spawnSync } from "node:child_process";
import { type RequestListener, createServer } from "node:http";
import type { AuthorizeContext, KeywayOptions } from "@keyway/core";
import { createNodeProxy } from "@keyway/node";
import { describe, expect, it, onTestFinished } from "vitest";
import { createAuthority } from "../certificates.ts";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { freePort } from "../store/redis-server.ts";
import { startFakeRedis } from "../store/fake-redis.ts";
import { always, listenOnFreePort, startUpstream } from "../upstream.ts";
import { key, leadTo, start, startGateway, token } from "./command.ts";
import { useEmulator } from "./emulator.ts";

leaveNothingOpen();

const emulator = useEmulator();

/** What the doctor says, line by line, and its exit code. */
async function examine(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<[number | null, string]> {
  const { exit, said } = start(["doctor", ...args], { env: { FAL_KEY: key, ...env } });
  const { code } = await exit;
  expect(said()).not.toMatch(/fal-key-secret|token-0123|\u001b/);
  return [code, said()];
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  const port = await listenOnFreePort(server);
  onTestFinished(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  return `http://127.0.0.1:${port}/api/fal/proxy`;
}

/** As a proxy in front that knows nothing of WebSockets passes requests on. */
function withoutUpgrades(listener: RequestListener): RequestListener {
  return (request, response) => {
    const lines = request.rawHeaders.join("\n").replaceAll(/^(?:connection|upgrade)\n.*\n/gim, "");
    request.rawHeaders = lines.split("\n");
    listener(request, response);
  };
}

function answering(status: number, headers: Readonly<Record<string, string>> = {}, body = ""): RequestListener {
  return (request, response) => {
    request.resume();
    response.writeHead(status, headers).end(body);
  };
}

function byToken({ headers }: AuthorizeContext): { id: string } | null {
  return headers.get("authorization") === `Bearer ${token}` ? { id: "ada" } : null;
}

const refusal = (code: string): string => JSON.stringify({ message: "no", detail: "no", code });

describe("keyway doctor", () => {
  it("finds nothing to mend in a gateway that is set up well, and learns from its login where calls go", async () => {
    const files = { "keyway.config.mjs": "export default { webhooks: { onResult() {} } };" };
    const { url } = await startGateway([], { env: leadTo(emulator), files });
    const [code, said] = await examine([url, "--online"], { KEYWAY_TOKEN: token, KEYWAY_UPSTREAM: emulator.url });
    expect(code).toBe(0);
    expect(said).toMatch(
      /note +key +Calls go to http:\/\/127\.0\.0\.1:\d+, not to fal\.ai\. It is KEYWAY_UPSTREAM that says so\./,
    );
    expect(said).toContain(`ok       mount     Keyway answers at ${url}`);
    expect(said).toMatch(/ok +mount +strangers are refused \(401 unauthorized\)/);
    expect(said).toMatch(/ok +mount +answers may not be cached/);
    expect(said).toMatch(/ok +mount +callers are let in/);
    expect(said).toMatch(/ok +upgrade +WebSocket handshakes reach the proxy/);
    expect(said).toMatch(/note +store +KEYWAY_REDIS_URL is not set/);
    expect(said).toMatch(/ok +webhook +\S+\/api\/fal\/webhook refuses a forged delivery/);
    expect(said).toMatch(/warning +upstream +the app's calls go to a local emulator/);
    expect(said).toContain("0 faults, 1 warnings");
  });

  it("without a URL it looks at what is here, and says how to go on", async () => {
    const [code, said] = await examine([], { NODE_ENV: "production" });
    expect(said).not.toContain("[keyway]");
    expect(code).toBe(0);
    expect(said).toMatch(/ok +key +FAL_KEY is set and has the shape of a key/);
    expect(said).toMatch(/skipped +key +whether fal\.ai takes it: --online asks/);
    expect(said).toMatch(/skipped +mount +no running app was named: --url/);
  });

  it.each([
    ["", /fault +key +FAL_KEY is not set here\n +mend: make a key/, 1],
    [`Key ${key}`, /fault +key +FAL_KEY starts with the scheme/, 1],
    ["only-one-part", /warning +key +FAL_KEY is set, but a key is two parts/, 0],
  ] as const)("the key %j", async (given, says, exitCode) => {
    const [code, said] = await examine([], { FAL_KEY: given });
    expect([code, said]).toEqual([exitCode, expect.stringMatching(says)]);
  });

  it("from another machine no key is needed", async () => {
    const { url } = await startGateway([], { env: leadTo(emulator) });
    const [code, said] = await examine([url, "--online"], { FAL_KEY: "", KEYWAY_TOKEN: token });
    expect([code, said]).toEqual([0, expect.stringMatching(/skipped +key +FAL_KEY is not set here, and need not be/)]);
  });

  it.each([
    [401, /fault +key +fal\.ai refuses the key \(401\)/, 1],
    [403, /fault +key +fal\.ai knows the key .*\(403\)\n +mend: look at the balance/, 1],
    [200, /ok +key +fal\.ai takes the key \(200\)/, 0],
    [500, /warning +key +fal\.ai answered 500/, 0],
  ] as const)("fal.ai answers the key with %i", async (status, says, exitCode) => {
    const authority = createAuthority();
    const fal = await startUpstream(authority.issue(["rest.fal.ai"]));
    onTestFinished(() => fal.close());
    fal.answer(always(status, { "content-type": "application/json" }, '{"detail":"x"}'));
    const [code, said] = await examine(["--online"], {
      NODE_OPTIONS: `--import=${new URL("lead-fal.ts", import.meta.url).href}`,
      TEST_FAL: `${fal.port} ${Buffer.from(authority.cert).toString("base64")}`,
    });
    expect([code, said]).toEqual([exitCode, expect.stringMatching(says)]);
    const [asked] = fal.arrivals;
    expect([asked?.method, asked?.url, asked?.values("authorization")]).toEqual([
      "POST",
      "/storage/upload/initiate?storage_type=fal-cdn-v3",
      [`Key ${key}`],
    ]);
  });

  it("an app that lets strangers in, has no upgrade listener, and does not know its callers", async () => {
    const open = createNodeProxy({
      authorize: "public",
      endpoints: ["demo/**"],
      upstream: { url: emulator.url, key: "emulator" },
    });
    onTestFinished(() => open.close().then(() => undefined));
    const [, said] = await examine([await serve((request, response) => void open.handle(request, response))]);
    expect(said).toMatch(/warning +mount +strangers are let in \(403 endpoint_refused\)\n +mend: .*authorize/);
    expect(said).toMatch(/skipped +mount +whether callers are let in: set KEYWAY_TOKEN/);
    expect(said).toMatch(
      /warning +upgrade +a WebSocket handshake arrives as a plain request .*\n +mend: .*proxy\.upgrade.* Next\.js .* SvelteKit .*: attachToServers\(keyway\); behind nginx/,
    );
    const { url } = await startGateway([], { env: leadTo(emulator) });
    const [code, other] = await examine([url], { KEYWAY_COOKIE: "session=ada" });
    expect([code, other]).toEqual([
      1,
      expect.stringMatching(/fault +mount +the app does not know the token or cookie/),
    ]);
    const [unsent, third] = await examine([url], { KEYWAY_TOKEN: "a-token-with-\u20ac-in-it" });
    expect([unsent, third]).toEqual([
      1,
      expect.stringMatching(/fault +mount +no answer to a caller \(ERR_INVALID_CHAR\)/),
    ]);
    const [failed, wrong] = await examine([url], { KEYWAY_TOKEN: "another-token-01234" });
    expect([failed, wrong]).toEqual([1, expect.stringMatching(/fault +mount +the app does not know the token/)]);
  });

  it.each<[string, Partial<KeywayOptions>, RegExp]>([
    ["everybody", { authorize: "public" }, /warning +mount +strangers are let in \(400 query_refused\)/],
    ["everybody, on trial", { authorize: "public", dryRun: true }, /warning +mount +strangers are let in/],
    ["its callers", { authorize: byToken }, /ok +mount +strangers are refused .*\n.*\nok +mount +callers are let in/],
    ["its callers, on trial", { authorize: byToken, dryRun: true }, /\nok +mount +callers are let in/],
  ])("an app that lets %s call anything passes nothing on", async (_who, options, says) => {
    const upstream = await startUpstream();
    onTestFinished(() => upstream.close());
    const fal = always(404, { "content-type": "application/json" }, '{"detail":"Request not found"}');
    upstream.answer(fal);
    const proxy = createNodeProxy({ authorize: () => null, endpoints: "any", upstream: upstream.option, ...options });
    onTestFinished(() => proxy.close().then(() => undefined));
    const url = await serve(withoutUpgrades((request, response) => void proxy.handle(request, response)));
    const [code, said] = await examine([url], { KEYWAY_TOKEN: token });
    expect([code, said]).toEqual([0, expect.stringMatching(says)]);
    expect(said).toMatch(/ok +mount +Keyway answers/);
    expect(upstream.connections).toBe(0);
  });

  it("a gateway whose mount was left out of the URL, and an app that shuts down", async () => {
    const { url } = await startGateway([], { env: leadTo(emulator) });
    const [code, said] = await examine([new URL(url).origin]);
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/fault +mount +Keyway's gateway has no mount at .*\n +mend: name the mount with its path/),
    ]);
    const closing = await serve(answering(503, { "cache-control": "no-store" }, refusal("closing")));
    const [, other] = await examine([closing]);
    expect(other).toMatch(/warning +mount +the app is shutting down/);
  });

  it.each<[string, RequestListener, RegExp, RegExp]>([
    [
      "a login page",
      answering(302, { location: "/login" }),
      /fault +mount +the mount redirects to \/login\n +mend: mount Keyway before/,
      /warning +upgrade +something else answers .* \(302\)[^]*warning +webhook +something else answers .* \(302\)/,
    ],
    [
      "another app",
      answering(404, {}, "<html>"),
      /fault +mount +.* answers 404, but it is not Keyway/,
      /note +webhook +no webhook door/,
    ],
    [
      "a cache",
      answering(401, { "cache-control": "max-age=60" }, refusal("unauthorized")),
      /fault +mount +answers arrive with cache-control "max-age=60"/,
      /warning +webhook +something else answers .* \(401\)/,
    ],
    [
      "an app that fails",
      answering(500, {}, refusal("authorize_failed")),
      /fault +mount +the app fails before it decides/,
      /fault +webhook +.* answers 500/,
    ],
    [
      "a door for anybody",
      answering(200, {}, "{}"),
      /fault +mount/,
      /fault +webhook +.* takes a forged delivery \(200\)/,
    ],
  ])("%s", async (_what, listener, mount, other) => {
    const [code, said] = await examine([await serve(listener)]);
    expect(code).toBe(1);
    expect(said).toMatch(mount);
    expect(said).toMatch(other);
  });

  it("nobody is there, and nobody takes handshakes", async () => {
    const port = await freePort();
    const [code, said] = await examine([`http://127.0.0.1:${port}/api/fal/proxy`]);
    expect(code).toBe(1);
    expect(said).toMatch(/fault +mount +nobody answers at .* \(ECONNREFUSED\)\n +mend: start the app/);
    expect(said).toMatch(/warning +upgrade +nobody answers WebSocket handshakes \(ECONNREFUSED\)/);
    expect(said).toMatch(/fault +webhook +nobody answers/);
  });

  it("a webhook door that was named must be there", async () => {
    const url = await serve(answering(404));
    const [code, said] = await examine(["--webhook", url]);
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/fault +webhook +.* answers 404, so deliveries .*\n +mend: mount/),
    ]);
  });

  it("the shared store answers, is away, or has a wrong URL", async () => {
    const redis = await startFakeRedis();
    onTestFinished(() => redis.close());
    redis.answer(() => "$-1\r\n");
    const [, said] = await examine([], { KEYWAY_REDIS_URL: `redis://127.0.0.1:${redis.port}` });
    expect(said).toMatch(/(?:ok|warning) +store +Redis answers in \d+ ms/);
    const away = `redis://:hidden-word@127.0.0.1:${await freePort()}`;
    const [code, other] = await examine([], { KEYWAY_REDIS_URL: away });
    expect([code, other]).toEqual([
      1,
      expect.stringMatching(/fault +store +Redis does not answer .*\n +mend: start it/),
    ]);
    expect(other).not.toContain("hidden-word");
    const [wrong, third] = await examine([], { KEYWAY_REDIS_URL: "http://redis" });
    expect([wrong, third]).toEqual([1, expect.stringMatching(/fault +store +KEYWAY_REDIS_URL is the URL of a Redis/)]);
  });
});

const hasTerminal = spawnSync("script", ["--version"]).error === undefined;
if (!hasTerminal) console.log("skipped: there is no script of util-linux");

describe.skipIf(!hasTerminal)("on a terminal", () => {
  it.each([
    [{ TERM: "xterm-256color" }, true],
    [{ TERM: "xterm-256color", NO_COLOR: "1" }, false],
  ] as const)("with %j it shows colours: %s", async (env, coloured) => {
    const { exit, said } = start(["doctor"], { env: { FAL_KEY: key, ...env }, terminal: true });
    expect((await exit).code).toBe(0);
    expect(said()).toContain("looking at mount …");
    expect(said().includes("\u001b[32m")).toBe(coloured);
  });
});
