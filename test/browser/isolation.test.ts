import type { KeywayOptions } from "@keyway/express";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { WebSocketServer } from "ws";
import { createAuthority } from "../certificates.ts";
import { mountPath } from "../conformance/mount.ts";
import { byName } from "../conformance/stage.ts";
import { type Certificate, type Upstream, always, respond, startUpstream } from "../upstream.ts";
import { type Attack, attacks } from "./attacks.ts";
import { describeInBrowser } from "./browser.ts";
import { type Site, startSite } from "./site.ts";

const app = "app.test";
const neighbour = "neighbour.app.test"; // the same site, another origin
const stranger = "stranger.test";
const certificate = createAuthority().issue([app, neighbour, stranger]);

/** Everything that a browser could be made to call is open, so that only the rules on origins stand in the way. */
const open: Pick<KeywayOptions, "authorize" | "endpoints" | "ownership" | "origins"> = {
  authorize: byName,
  origins: ["https://front.test"],
  endpoints: { "demo/**": { methods: ["POST", "GET"] } },
  ownership: "app",
};

describeInBrowser("other pages of the same browser", [app, neighbour, stranger], (browser) => {
  const situations = [
    { name: "another site, TLS, a cookie for all sites", from: stranger, sameSite: "None", certificate },
    { name: "the same site, TLS", from: neighbour, sameSite: "Lax", certificate },
    { name: "the same site, plain http", from: neighbour, sameSite: "Lax", certificate: undefined },
    {
      name: "another site, plain http, a cookie on its defaults",
      from: stranger,
      sameSite: undefined,
      certificate: undefined,
    },
  ] as const;

  describe.each(situations)("attacks of $name", ({ from, sameSite, certificate: tls }) => {
    let upstream: Upstream;
    let site: Site;
    let context: BrowserContext;
    let page: Page;
    let sockets = 0;

    beforeAll(async () => {
      upstream = await startUpstream();
      const accept = new WebSocketServer({ noServer: true });
      upstream.upgrade((req, socket, head) => {
        sockets += 1;
        accept.handleUpgrade(req, socket, head, (far) => far.close());
      });
      site = await startSite({
        ...(tls === undefined ? {} : { certificate: tls }),
        options: (origin) => ({ ...open, upstream: upstream.option, publicUrl: origin(app) + mountPath }),
      });
      context = await browser().newContext({ ignoreHTTPSErrors: true });
      await context.addCookies([
        {
          name: "session",
          value: "ada",
          url: site.origin(app),
          ...(sameSite === undefined ? {} : { sameSite }),
          secure: tls !== undefined,
        },
      ]);
      page = await context.newPage();
    });
    afterAll(async () => {
      await context.close();
      await site.close();
      await upstream.close();
    });

    it.each(attacks)("$name: refused, and nothing is spent", async (attack) => {
      await page.goto(site.origin(from));
      const before = spent();
      const knocking = site.nextKnock();
      expect(await attack.start(page, site.mount(app))).not.toBe("read");
      const knock = await knocking;
      const status = await knock.over;
      expect(knock.isUpgrade ? "upgrade" : knock.method).toBe(attack.arrives);
      const carried = knock.headers.cookie === "session=ada";
      // some browsers keep cookies from frames and pictures of other sites even where the cookie allows them
      if (attack.arrives === "OPTIONS") expect(carried).toBe(false);
      else if (sameSite !== "None" || attack.leaves) expect(carried).toBe(isCarried(attack));
      if (attack.arrives !== "upgrade") expect(status).toBeGreaterThanOrEqual(400);
      expect(spent()).toBe(before);
    });

    it("the app's own page is served", async () => {
      await page.goto(site.origin(app));
      const before = spent();
      const status = await page.evaluate(
        async ([mount, headers]) => (await fetch(mount, { method: "POST", headers, body: "{}" })).status,
        [
          site.mount(app),
          { "x-fal-target-url": "https://fal.run/demo/echo", "content-type": "application/json" },
        ] as const,
      );
      await page.evaluate(
        (url) => {
          const socket = new WebSocket(url);
          return new Promise((resolve) => socket.addEventListener("open", resolve)).then(() => undefined);
        },
        `${site.mount(app).replace(/^http/, "ws")}/fal.run/demo/echo/realtime`,
      );
      expect([status, spent() - before]).toEqual([200, 2]);
    });

    /** Whether the browser sends the cookie along: then it is only the mount that says no. */
    function isCarried({ opaque, leaves }: Attack): boolean {
      return from === neighbour ? opaque !== true : leaves === true;
    }

    /** How many calls and sockets reached fal. */
    function spent(): number {
      return upstream.arrivals.length + sockets;
    }
  });

  describe("answers of a model that are pages", () => {
    const types = ["text/html", "application/xhtml+xml", "image/svg+xml", "text/xml", undefined];

    /** Runs a script in each way that its type knows, and loads a picture. */
    function hostile(origin: string, type = "text/html"): string {
      const script = `document.documentElement.id = "ran"; new Image().src = "${origin}/ran-by-script";`;
      if (type === "image/svg+xml") return `<svg xmlns="http://www.w3.org/2000/svg"><script>${script}</script></svg>`;
      return `<html xmlns="http://www.w3.org/1999/xhtml"><body><script>${script}</script>
        <img src="${origin}/ran-by-picture" /><iframe src="${origin}/ran-by-frame"></iframe></body></html>`;
    }

    it.each(types)("%s, opened by a link where nothing else stands in the way, does nothing", async (type) => {
      const { upstream, site } = await stage({ authorize: "public" });
      const headers = type === undefined ? {} : { "content-type": type };
      upstream.answer(always(200, headers, hostile(site.origin(app), type)));
      const page = await openPage(site.origin(stranger));
      const knocking = site.nextKnock();
      const opening = page.waitForResponse((answer) => answer.url().includes("/requests/"));
      await page.evaluate(
        (url) => location.assign(url),
        `${site.mount(app)}/queue.fal.run/demo/echo/requests/${job(1)}`,
      );
      const answer = await opening;
      const { over } = await knocking;
      await over;
      expect(answer.status()).toBe(200);
      expect(answer.headers()).toMatchObject({ "x-content-type-options": "nosniff" });
      await page.waitForURL("**/requests/**");
      expect(await page.evaluate(() => document.documentElement.id)).not.toBe("ran");
      expect(await page.evaluate(() => origin)).toBe("null");
      expect(site.visits.filter((visit) => visit.includes("ran-by"))).toEqual([]);
    });

    it.each([
      ["plain http", undefined],
      ["TLS", certificate],
    ])("for who is signed in there is no page at all, over %s", async (_name, tls) => {
      const { upstream, site } = await stage({}, tls);
      const page = await openPage(site.origin(stranger));
      await page.context().addCookies([{ name: "session", value: "ada", url: site.origin(app) }]);
      const knocking = site.nextKnock();
      await page.evaluate(
        (url) => location.assign(url),
        `${site.mount(app)}/queue.fal.run/demo/echo/requests/${job(1)}`,
      );
      const knock = await knocking;
      expect([knock.headers.cookie, await knock.over, upstream.arrivals.length]).toEqual(["session=ada", 403, 0]);
    });
  });

  describe("one address for every call", () => {
    it("polls of different jobs never share an answer, whatever upstream says of caching", async () => {
      const { upstream, site } = await stage({});
      upstream.answer(({ url, response }) => {
        const headers = {
          "content-type": "application/json",
          "cache-control": "public, max-age=86400, immutable",
          expires: new Date(Date.now() + 86_400_000).toUTCString(),
          "last-modified": new Date(0).toUTCString(),
          etag: '"one"',
        };
        respond(response, 200, headers, JSON.stringify({ url, count: upstream.arrivals.length }));
      });
      const page = await openPage(site.origin(app));
      await page.context().addCookies([{ name: "session", value: "ada", url: site.origin(app) }]);
      const polls = [1, 2, 1, 2].flatMap((number) =>
        (["default", "force-cache", "no-cache"] as const).map((cache) => ({ number, cache })),
      );
      const answers = await page.evaluate(
        async ([mount, asked]) => {
          const texts: string[] = [];
          for (const { target, cache } of asked) {
            texts.push(await (await fetch(mount, { headers: { "x-fal-target-url": target }, cache })).text());
          }
          return texts;
        },
        [
          site.mount(app),
          polls.map(({ number, cache }) => ({
            target: `https://queue.fal.run/demo/echo/requests/${job(number)}/status?logs=1`,
            cache,
          })),
        ] as const,
      );
      expect(answers.map((text) => JSON.parse(text) as unknown)).toEqual(
        polls.map(({ number }, index) => ({
          url: `/queue.fal.run/demo/echo/requests/${job(number)}/status?logs=1`,
          count: index + 1,
        })),
      );
      expect(site.knocks.filter(({ headers }) => headers["if-none-match"] !== undefined)).toEqual([]);
    });
  });

  /** An app with an upstream behind it, for one test. */
  async function stage(
    options: Partial<KeywayOptions>,
    tls?: Certificate,
  ): Promise<{ readonly upstream: Upstream; readonly site: Site }> {
    const upstream = await startUpstream();
    const site = await startSite({
      ...(tls === undefined ? {} : { certificate: tls }),
      options: (origin) => ({
        ...open,
        upstream: upstream.option,
        publicUrl: origin(app) + mountPath,
        ...options,
      }),
    });
    onTestFinished(async () => {
      await site.close();
      await upstream.close();
    });
    return { upstream, site };
  }

  async function openPage(url: string): Promise<Page> {
    const context = await browser().newContext({ ignoreHTTPSErrors: true });
    onTestFinished(() => context.close());
    const page = await context.newPage();
    await page.goto(url);
    return page;
  }
});

function job(number: number): string {
  return `019e161b-386c-7d33-8e2f-00000000000${number}`;
}
