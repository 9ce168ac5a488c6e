import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connectStraight } from "../client/connect.ts";
import { createSteadyEmulator, patterns } from "../client/patterns.ts";
import { mountPath } from "../conformance/mount.ts";
import { byName } from "../conformance/stage.ts";
import { canary, found } from "../secrets/canary.ts";
import { token, watchAnswers } from "./answers.ts";
import { describeInBrowser } from "./browser.ts";
import { bundleClientPage } from "./bundle.ts";
import type { ClientPage } from "./client-page.ts";
import { type Site, startSite } from "./site.ts";

const app = "app.test";
const sibling = "www.app.test";
const front = "front.test";
const stranger = "stranger.test";

describeInBrowser("the official client in a browser", [app, sibling, front, stranger], (browser) => {
  const emulator = createSteadyEmulator();
  let url: string;
  let site: Site;

  beforeAll(async () => {
    ({ url } = await emulator.listen());
    site = await startSite({
      script: await bundleClientPage(),
      options: (origin) => ({
        authorize: byName,
        endpoints: {
          "demo/**": { methods: ["POST", "GET"] },
          "fal-ai/**": {},
          "me/**": {},
          "123/**": {},
          "workflows/**": {},
        },
        ownership: "app",
        upstream: { url, key: canary },
        publicUrl: origin(app) + mountPath,
        origins: [origin(front), origin(sibling)],
      }),
    });
  });
  afterAll(async () => {
    await site.close();
    await emulator.close();
  });

  describe.each([
    ["the app's own page, with a cookie", app, undefined],
    ["a page of a listed origin of the same site, with a cookie", sibling, undefined],
    ["a page of a listed origin, with a bearer", front, "Bearer ada"],
  ])("%s", (_name, host, bearer) => {
    let context: BrowserContext;
    let page: Page;
    let answers: () => Promise<readonly string[]>;

    beforeAll(async () => {
      context = await browser().newContext();
      answers = watchAnswers(context);
      if (bearer === undefined) {
        await context.addCookies([{ name: "session", value: "ada", url: site.origin(app), sameSite: "Lax" }]);
      }
      page = await context.newPage();
      await page.goto(site.origin(host));
    });
    afterAll(() => context.close());

    it.each(Object.keys(patterns))("%s", async (name) => {
      emulator.reset({ ids: true });
      const straight: unknown = await patterns[name]?.(connectStraight(url, fetch));
      emulator.reset({ ids: true });
      const expected = JSON.stringify(straight).replace('"terminated"', '"network error"'); // Node's word, the browser's word
      expect(await play(page, name, site.mount(app), bearer, host === sibling)).toEqual(JSON.parse(expected));
    });

    it("nothing that it was given holds the key or a token", async () => {
      const texts = await answers();
      expect(texts.length).toBeGreaterThan(50);
      for (const text of texts) {
        expect(found(text)).toEqual([]);
        expect(text).not.toMatch(token);
      }
    });
  });

  it("a page of an origin that is not listed gets nothing", async () => {
    emulator.reset({ ids: true });
    const context = await browser().newContext();
    const page = await context.newPage();
    await page.goto(site.origin(stranger));
    for (const name of ["run", "subscribe by polling", "submit with its options", "stream", "upload"]) {
      const outcome = await play(page, name, site.mount(app), "Bearer ada").catch(String);
      expect(outcome, name).toMatch(/Failed to fetch/);
    }
    expect(emulator.calls).toEqual([]);
    await context.close();
  });
});

/** Plays a pattern of Node's tests on the page; `sendsCookies` to another origin, as docs/security.md has it. */
function play(
  page: Page,
  name: string,
  mount: string,
  bearer: string | undefined,
  sendsCookies = false,
): Promise<unknown> {
  return page.evaluate(
    ([pattern, proxyUrl, authorization, includes]) => {
      const { createFalClient, patterns: known } = globalThis as unknown as ClientPage;
      const send: typeof fetch = (url, init) =>
        fetch(url, { ...init, credentials: url === proxyUrl ? "include" : "same-origin" });
      const fal = createFalClient({
        proxyUrl,
        ...(includes ? { fetch: send } : {}),
        requestMiddleware: async (request) => ({
          ...request,
          headers: { ...request.headers, ...(authorization === undefined ? {} : { authorization }) },
        }),
      });
      return known[pattern]?.(fal);
    },
    [name, mount, bearer, sendsCookies] as const,
  );
}
