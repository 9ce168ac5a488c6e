import { createEmulator } from "@keyway/emulator";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { mountPath } from "../conformance/mount.ts";
import { byName } from "../conformance/stage.ts";
import { canary, found } from "../secrets/canary.ts";
import { token, watchAnswers } from "./answers.ts";
import { describeInBrowser } from "./browser.ts";
import { bundleClientPage } from "./bundle.ts";
import type { ClientPage } from "./client-page.ts";
import { type FalRun, startFalRun } from "./fal-run.ts";
import { bundleDocs } from "./realtime-docs.ts";
import { converse } from "./realtime-page.ts";
import { type Site, startSite } from "./site.ts";
import { type SeenSocket, watchSockets } from "./sockets.ts";

const app = "app.localhost"; // the client makes its connection keys where the page is trusted
const emulator = createEmulator({ timeScale: 0 });
let falRun: FalRun;

async function lead(): Promise<readonly (string | FalRun)[]> {
  falRun = await startFalRun(emulator);
  return [app, falRun];
}

describeInBrowser("the official client in real time", lead, (browser) => {
  let site: Site;
  let context: BrowserContext;
  let page: Page;
  let sockets: () => Promise<readonly SeenSocket[]>;
  let answers: () => Promise<readonly string[]>;
  const said: string[] = [];

  beforeAll(async () => {
    const { url } = await emulator.listen();
    site = await startSite({
      script: await bundleClientPage(),
      options: (origin) => ({
        authorize: byName,
        endpoints: { "demo/realtime": { realtime: "token" }, "demo/echo": {}, "fal-ai/**": { realtime: "token" } },
        upstream: { url, key: canary },
        publicUrl: origin(app) + mountPath,
      }),
    });
  });
  afterAll(async () => {
    await site.close();
    await falRun.close();
    await emulator.close();
  });
  beforeEach(async () => {
    emulator.reset();
    said.length = 0;
    await context?.close();
    context = await browser().newContext();
    await context.addCookies([{ name: "session", value: "ada", url: site.origin(app), sameSite: "Lax" }]);
    answers = watchAnswers(context);
    page = await context.newPage();
    page.on("console", (message) => said.push(message.text()));
    sockets = await watchSockets(page);
    await page.goto(site.origin(app));
  });
  afterAll(() => context.close());

  describe("through the proxy", () => {
    it.each([
      ["W26, W27: MessagePack", {}],
      ["JSON text", { text: true }],
    ])("%s both ways, and neither key nor token in anything that the browser sees", async (_name, encoding) => {
      const inputs = [{ n: 1, request_id: "r1" }, { n: 2, text: "é😀" }, { n: 3 }];
      const outcome = await converse(page, {
        endpoint: "demo/echo",
        by: "proxy",
        inputs,
        maxBuffering: 2,
        ...encoding,
      });
      expect(outcome).toEqual({ results: inputs, errors: [] });
      const [socket, ...others] = await sockets();
      expect([socket?.url, socket?.sent, socket?.received, others.length]).toEqual([
        `${site.mount(app).replace("http", "ws")}/fal.run/demo/echo/realtime?max_buffering=2`,
        3,
        3,
        0,
      ]);
      expect(emulator.calls.map(({ kind, headers }) => [kind, keysOf(headers)])).toEqual([
        ["realtime", [`Key ${canary}`]],
      ]);
      const crossed = emulator.calls[0]?.headers.map(([header]) => header.toLowerCase()).join(" ");
      expect(crossed).not.toMatch(/cookie|origin|referer|forwarded|protocol/);
      expect(emulator.calls[0]?.url).toBe("/fal.run/demo/echo/realtime?max_buffering=2");
      expect(socket?.texts.join("\n")).not.toContain("fal_jwt_token");
      for (const text of [...(socket?.texts ?? []), ...(await answers()), ...said]) {
        expect(found(text)).toEqual([]);
        expect(text).not.toMatch(token);
      }
    });

    it("a path of one's own", async () => {
      await converse(page, { endpoint: "demo/echo", by: "proxy", inputs: [{}], path: "/live/2" });
      expect((await sockets())[0]?.url).toMatch(/\/fal\.run\/demo\/echo\/live\/2$/);
    });

    it.each([
      ["a close code and reason of fal's", { happens: "close", code: 4321, reason: "so it is" }, 4321, "so it is"],
      ["an error message of fal's", { happens: "internal-error" }, 400, "INTERNAL_ERROR: Emulated fault"],
      ["a broken connection", { happens: "drop" }, 1011, ""],
    ] as const)("%s arrives, without a secret", async (_name, session, status, words) => {
      emulator.faults.add({ match: { kind: "realtime" }, session: { afterResults: 1, ...session } });
      const { results, errors } = await converse(page, {
        endpoint: "demo/echo",
        by: "proxy",
        inputs: [{}, {}],
        text: true, // the client may tell of a text frame before the binary one that came first
      });
      expect(results).toEqual([{}]);
      expect(errors).toEqual([{ status, message: expect.stringContaining(words) as string }]);
      const seen = (await sockets()).flatMap(({ texts }) => texts);
      for (const text of [...seen, ...errors.map(({ message }) => message), ...said]) expect(found(text)).toEqual([]);
    });

    it("connects anew when fal has closed for want of inputs", async () => {
      emulator.faults.add({ match: { kind: "realtime" }, session: { afterResults: 1, happens: "timeout" } });
      const closing = page.waitForEvent("websocket").then((socket) => socket.waitForEvent("close"));
      await page.exposeFunction("mayGoOn", () => closing.then(() => undefined));
      const inputs = [{ n: 1 }, { n: 2 }];
      const outcome = await converse(page, { endpoint: "demo/echo", by: "proxy", inputs, patient: true });
      expect([outcome, (await sockets()).length]).toEqual([{ results: inputs, errors: [] }, 2]);
    });

    it("what the proxy refuses is never dialled; other sockets of the page stay its own", async () => {
      const { errors } = await converse(page, { endpoint: "other/app", by: "proxy", inputs: [{}], errors: 2 });
      expect(errors.map(({ status }) => status)).toEqual([500, 1006]);
      expect(emulator.calls).toEqual([]);
      const own = await page.evaluate(async (mount) => {
        const { proxyRealtime, realtimeUrl } = globalThis as unknown as ClientPage;
        const throughProxy = proxyRealtime({ proxyUrl: mount });
        const socket = new WebSocket(realtimeUrl("demo/echo", { proxyUrl: mount }));
        const answer = await new Promise((resolve) => {
          socket.addEventListener("open", () => socket.send('{"plain":true}'));
          socket.addEventListener("message", ({ data }) => resolve(data));
        });
        const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener("close", resolve));
        socket.close(4000, "enough");
        const { code, reason, wasClean } = await closed;
        throughProxy.restore();
        return { answer, code, reason, wasClean, isNative: /native code/.test(String(WebSocket)) };
      }, mountPath);
      expect(own).toEqual({ answer: '{"plain":true}', code: 4000, reason: "enough", wasClean: true, isNative: true });
    });
  });

  describe("by token, with the client unchanged", () => {
    it("tokenProvider() asks for exactly the endpoint", async () => {
      const { results, errors } = await converse(page, {
        endpoint: "demo/realtime",
        by: "token",
        inputs: [{ prompt: "a", request_id: "r" }],
      });
      expect(errors).toEqual([]);
      expect(results).toMatchObject([{ request_id: "r", images: [{ content_type: "image/png" }] }]);
      expect((await sockets()).map(({ url }) => url)).toEqual([
        expect.stringMatching(/^wss:\/\/fal\.run\/demo\/realtime\?fal_jwt_token=eyJ/),
      ]);
      const [asked, opened] = emulator.calls;
      expect([asked?.kind, asked?.path, JSON.parse(Buffer.from(asked?.body ?? []).toString())]).toEqual([
        "token",
        "/tokens/realtime",
        { allowed_apps: ["demo/realtime"], duration: 120 },
      ]);
      expect([opened?.kind, keysOf(opened?.headers ?? [])]).toEqual(["realtime", []]);
    });

    it("the client's own way of asking works too", async () => {
      const { results } = await converse(page, { endpoint: "demo/realtime", by: "nothing", inputs: [{ prompt: "a" }] });
      expect(results).toHaveLength(1);
    });

    it("a token that fal no longer takes is replaced at the next input", async () => {
      emulator.faults.add({ match: { kind: "realtime" }, session: { afterResults: 1, happens: "unauthorized" } });
      const closing = page.waitForEvent("websocket").then((socket) => socket.waitForEvent("close"));
      await page.exposeFunction("mayGoOn", () => closing.then(() => undefined));
      const inputs = [{ prompt: "a" }, { prompt: "b" }];
      const outcome = await converse(page, {
        endpoint: "demo/realtime",
        by: "token",
        inputs,
        patient: true,
        errors: 2,
      });
      expect(outcome.results).toMatchObject(inputs);
      expect(outcome.errors).toEqual([{ status: 1008, message: expect.stringContaining("Unauthorized") as string }]);
      const tokenCalls = emulator.calls.filter(({ kind }) => kind === "token");
      expect([(await sockets()).length, tokenCalls.length]).toEqual([2, 2]);
    });

    it("where none are given the console says so, and nothing is opened", async () => {
      const saying = page.waitForEvent("console", (message) => message.text().startsWith("There is no token"));
      void converse(page, { endpoint: "demo/echo/path", by: "token", inputs: [{}] }).catch(() => undefined);
      expect((await saying).text()).toBe(
        'There is no token for demo/echo/path/realtime: Tokens for "demo/echo/path/realtime" are not given out by this app.',
      );
      expect([await sockets(), emulator.calls]).toEqual([[], []]);
    });
  });

  describe("what docs/real-time.md shows", () => {
    it("runs in a page", async () => {
      const scripts = await bundleDocs();
      expect([...scripts.keys()]).toEqual(["through-proxy.ts", "own-socket.ts", "by-token.ts"]);
      for (const [name, content] of scripts) {
        await page.reload();
        await page.addScriptTag({ content });
        const shown = await page.waitForFunction(
          () => Reflect.get(globalThis, "shown") ?? Reflect.get(globalThis, "told"),
        );
        expect(await shown.jsonValue(), name).toMatchObject({ prompt: "a lighthouse at dusk" });
      }
    });
  });
});

function keysOf(headers: readonly (readonly [name: string, value: string])[]): string[] {
  return headers.filter(([name]) => name.toLowerCase() === "authorization").map(([, value]) => value);
}
