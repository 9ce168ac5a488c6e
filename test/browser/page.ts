import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { type RecordedCall, createEmulator } from "@keyway/emulator";
import type { Browser, BrowserContextOptions } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { canary, found } from "../secrets/canary.ts";
import { listenOnFreePort } from "../upstream.ts";
import { token, watchAnswers } from "./answers.ts";
import { describeInBrowser } from "./browser.ts";
import { type Example, type ExampleName, startExample } from "./example.ts";
import { type FalRun, startFalRun } from "./fal-run.ts";
import { tryByToken, tryProxied } from "./live.ts";
import { type Playground, drivePlayground, findBarriers, keepScreenshot, sidewaysScroll } from "./playground.ts";

const lan = "10.0.0.5";
const desktop = { viewport: { width: 1280, height: 800 } };
const phone = { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true };
const sizes: readonly (readonly [name: string, options: BrowserContextOptions])[] = [
  ["desktop", desktop],
  ["phone", phone],
];

/** Dark differs from light in its colours only. */
const schemes = [
  ["dark", ["color-contrast"]],
  ["light", undefined],
] satisfies [scheme: "dark" | "light", rules: string[] | undefined][];

/** A picture of one pixel, in a file of 5 KB: what follows the end of a PNG is nobody's business. */
const file = Buffer.concat([
  Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "base64",
  ),
  randomBytes(5 * 1024),
]).subarray(0, 5 * 1024);

/** Every pattern on the page of an example, in a real browser. */
export function tryPage(name: ExampleName): void {
  const emulator = createEmulator({ timeScale: 0.1 });
  let falRun: FalRun;
  const lead = async (): Promise<readonly (string | FalRun)[]> => {
    falRun = await startFalRun(emulator);
    return [lan, falRun];
  };
  describeInBrowser(`the page of examples/${name}`, lead, (browser) => {
    let example: Example;
    let url: string;
    let origin: string;

    beforeAll(async () => {
      ({ url } = await emulator.listen());
      const port = await freePort();
      origin = `http://127.0.0.1:${port}`;
      example = await startExample(name, {
        NODE_ENV: "production",
        PORT: String(port),
        PUBLIC_URL: origin,
        KEYWAY_UPSTREAM: url,
        FAL_KEY: canary,
      });
    }, 60_000);
    afterAll(async () => {
      await example.close();
      await falRun.close();
      await emulator.close();
    });

    describe.each(sizes)("%s", (size, options) => {
      let playground: Playground;
      let answers: () => Promise<readonly string[]>;
      beforeAll(async () => {
        ({ playground, answers } = await open(browser(), options));
        await playground.page.goto(origin);
        await playground.signIn("ada");
      });
      afterAll(() => playground.page.context().close());
      afterEach(async ({ task }) => {
        const { page, problems } = playground;
        for (const [colorScheme, rules] of schemes) {
          await page.emulateMedia({ colorScheme });
          expect(await findBarriers(page, rules), colorScheme).toEqual([]);
          await keepScreenshot(page, `${size} ${colorScheme} ${task.name}`);
        }
        expect(await sidewaysScroll(page)).toBe(0);
        expect(problems()).toEqual([]);
      });

      it("run", async () => {
        const { choose, press, ends, picture, serverSaw } = playground;
        await choose("Run");
        await press("Run");
        await ends("Answered");
        expect(await picture()).toEqual([512, 512]);
        await serverSaw(/run POST.*demo\/image.*200/);
      });

      it.each(["polling", "streaming"])("subscribe by %s", async (mode) => {
        const { page, choose, field, press, ends, picture, response, serverSaw } = playground;
        await page.reload();
        await choose("Subscribe");
        await field("Updates by").selectOption(mode);
        await press("Subscribe");
        await ends("Done");
        expect(await picture()).toEqual([512, 512]);
        expect(await response.getByRole("group", { name: "Logs" }).innerText()).toContain("100% (4/4 steps)");
        await serverSaw(/submit POST.*demo\/image.*200/);
        await serverSaw(mode === "polling" ? /status GET.*20[02]/ : /status-stream GET.*200/);
        await serverSaw(/result GET.*200/);
      });

      it("queue, step by step", async () => {
        const { choose, field, press, ends, response, serverSaw } = playground;
        await choose("Queue, step by step");
        await field("Prompt").fill("two seconds of work");
        await playground.page.getByText("More input").locator("visible=true").click();
        await field("Further input as JSON").fill('{ "seconds": 2 }');
        await press("Submit");
        await response.getByText("Answer as JSON").waitFor();
        expect(await field("Request id").inputValue()).toMatch(/^[0-9a-f-]{36}\.[\w-]{22}$/);
        await statusUntil("COMPLETED");
        await ends("Done");
        await press("Result");
        await response.getByText('"seconds": 2').waitFor();
        for (const row of [/submit POST.*200/, /status GET.*200/, /result GET.*200/]) await serverSaw(row);
      });

      it("queue, cancelled", async () => {
        const { page, choose, field, press, ends, response, serverSaw } = playground;
        await page.reload();
        await choose("Queue, step by step");
        await page.getByText("More input").locator("visible=true").click();
        await field("Further input as JSON").fill('{ "seconds": 1000 }');
        await press("Submit");
        await response.getByText("Answer as JSON").waitFor();
        await statusUntil("IN_PROGRESS");
        await press("Cancel");
        await response.getByText("Cancellation is requested").waitFor();
        await serverSaw(/cancel PUT.*202/);
        await statusUntil("COMPLETED");
        await ends("Failed");
      });

      /** Asks for the job's status until it is this one. */
      async function statusUntil(state: string): Promise<void> {
        const { page, press, response } = playground;
        for (let last = ""; last !== state;) {
          const answered = page.waitForResponse((answer) => answer.request().method() === "GET");
          await press("Status");
          ({ status: last } = (await (await answered).json()) as { status: string });
          await response.getByText(`"status": "${last}"`).waitFor();
        }
      }

      it("stream", async () => {
        const { choose, press, ends, picture, response, serverSaw } = playground;
        await choose("Stream");
        await press("Stream");
        await ends("Done");
        expect(await picture()).toEqual([512, 512]);
        expect(await response.innerText()).toMatch(/[5-9] events/);
        await serverSaw(/stream POST.*demo\/stream.*200/);
      });

      it("real time, through the proxy", () => tryProxied(playground, origin));

      it("upload of a 5 KB file that is the input", async () => {
        const { choose, field, press, ends, picture, serverSaw } = playground;
        await choose("Upload");
        await field("File").setInputFiles({ name: "tiny.png", mimeType: "image/png", buffer: file });
        const put = emulator.nextCall(({ kind, method }) => kind === "cdn" && method === "PUT");
        await press("Upload and run");
        await ends("Answered");
        expect(await picture()).toEqual([1, 1]);
        const { bytes, sha256 } = await put;
        expect([bytes, sha256]).toEqual([file.length, createHash("sha256").update(file).digest("hex")]);
        await serverSaw(/upload POST.*200/);
        await serverSaw(/run POST.*demo\/echo.*200/);
      });

      it("platform headers", async () => {
        const { choose, press, ends, picture, serverSaw } = playground;
        await choose("Platform headers");
        const submitted = emulator.nextCall(({ kind }) => kind === "submit");
        await press("Subscribe");
        await ends("Done");
        expect(await picture()).toEqual([512, 512]);
        expect(platformHeaders(await submitted)).toEqual({
          "x-fal-queue-priority": "low",
          "x-fal-request-timeout": "30",
          "x-fal-runner-hint": "session-42",
          "x-fal-no-retry": "1",
          "x-fal-tags": "team=design,page=playground",
        });
        await serverSaw(/submit POST.*200/);
      });

      it.each([
        ["input", "422", "num_images"],
        ["endpoint", "403", "endpoint_refused"],
        ["policy", "422", "content_policy_violation"],
      ])("error: %s, %s", async (choice, status, words) => {
        const { page, choose, field, press, ends, failure, problems, serverSaw } = playground;
        await page.reload();
        await choose("Errors");
        await field("Call").selectOption(choice);
        await press("Call");
        await ends("Failed");
        const shown = await failure();
        expect(shown).toContain(status);
        expect(shown).toContain(words);
        await serverSaw(new RegExp(`run POST.*${status}`));
        expect(problems()).toEqual([expect.stringContaining(`responded with a status of ${status}`)]); // the browser's own line
      });

      it("leave, come back: it is there", async () => {
        const { page, choose, field, press, ends, picture, response, serverSaw } = playground;
        await page.reload();
        await choose("Leave, come back");
        await field("Endpoint").fill("demo/image");
        await press("Submit");
        await ends("Queued");
        const id = /"request_id": "([^"]+)"/.exec(await response.innerText())?.[1] ?? "";
        await page.reload();
        const latest = page.getByRole("region", { name: "Your jobs" }).getByRole("listitem").first();
        await latest.getByRole("radio", { name: /^demo\/image .* done$/, checked: true }).waitFor();
        await press("Show the result");
        await ends("Answered");
        expect(await picture()).toEqual([512, 512]);
        expect(await response.innerText()).toContain(id);
        await serverSaw(/result GET.*200/);
      });

      it("budgets of two users, spent and refused", async () => {
        const { page, choose, field, press, ends, failure, problems, picture, serverSaw } = playground;
        await page.reload();
        await choose("Budgets");
        const budget = (user: string) => page.getByRole("article", { name: user });
        await budget("ada").getByText("$1.00 a day").waitFor();
        await budget("bob").getByText("$0.05 a day").waitFor();
        const before = await budget("ada").innerText();
        await field("Who calls").selectOption("bob");
        await press("Make 6 at once");
        await ends("Failed");
        expect(await failure()).toMatch(/402[^]*budget_exceeded/);
        await page.getByText("Signed in as bob").waitFor();
        await serverSaw(/run POST.*demo\/poster.*402 budget_exceeded/);
        expect(await budget("bob").innerText()).toMatch(/Spent\s+\$0.05\s+Reserved\s+\$0.00\s+Left\s+\$0.00/);
        expect(await budget("ada").innerText()).toBe(before);
        expect(problems().every((line) => line.includes("responded with a status of 402"))).toBe(true);
        await field("Who calls").selectOption("ada");
        await press("Make a picture");
        await ends("Answered");
        expect(await picture()).toEqual([512, 512]);
        expect(await budget("ada").innerText()).not.toBe(before);
      });

      it("signed out: 401", async () => {
        const { page, choose, press, failure, problems } = playground;
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.getByLabel("Sign in as").waitFor();
        await choose("Run");
        await press("Run");
        expect(await failure()).toMatch(/401[^]*unauthorized/);
        await choose("Real time");
        await press("Connect");
        expect(await failure()).toContain("The connection was refused or broke off.");
        expect(problems()).toEqual([
          expect.stringContaining("responded with a status of 401"),
          expect.stringMatching(/^WebSocket connection to .* failed/),
        ]);
      });

      it("nothing that the browser was given holds the key or a token", async () => {
        const texts = await answers();
        expect(texts.length).toBeGreaterThan(30);
        for (const text of texts) {
          expect(found(text)).toEqual([]);
          expect(text).not.toMatch(token);
        }
      });
    });

    it("real time, by token, with the client unchanged", async () => {
      const { playground } = await open(browser(), desktop);
      onTestFinished(() => playground.page.context().close());
      await playground.page.goto(origin);
      await playground.signIn("ada");
      await tryByToken(playground);
      expect(playground.problems()).toEqual([]);
    });

    it("one pattern by the keyboard alone", async () => {
      const { playground } = await open(browser(), desktop);
      onTestFinished(() => playground.page.context().close());
      const { page, ends, picture } = playground;
      await page.goto(origin);
      await page.getByLabel("Sign in as").waitFor();
      await tabTo("Sign in as");
      await page.keyboard.type("grace");
      await page.keyboard.press("Enter");
      await page.getByText("Signed in as grace").waitFor();
      await tabTo("Subscribe");
      await page.keyboard.press("Enter");
      await page.getByRole("heading", { name: "Subscribe", level: 2 }).waitFor();
      await tabTo("Prompt");
      await page.keyboard.press("Control+A");
      await page.keyboard.type("a key in a lock");
      await tabTo("Subscribe");
      await page.keyboard.press("Enter");
      await ends("Done");
      await picture();
      expect(await focusedName()).toBe("Subscribe");
      await tabTo("Copy");
      await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
      await page.keyboard.press("Enter");
      await page.getByRole("button", { name: "Copied" }).waitFor();
      expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('prompt: "a key in a lock"');
      expect(playground.problems()).toEqual([]);

      /** Presses Tab until the focus, which must be seen, is on the control of that name. */
      async function tabTo(name: string): Promise<void> {
        const passed: string[] = [];
        while (passed.at(-1) !== name) {
          await page.keyboard.press("Tab");
          passed.push(await focusedName());
          expect(passed.length, passed.join(" → ")).toBeLessThan(40);
          expect(await page.evaluate(hasOutline), passed.at(-1)).toBe(true);
        }
      }

      function focusedName(): Promise<string> {
        return page.evaluate(() => {
          const { activeElement: element } = document;
          const labels =
            element instanceof HTMLInputElement || element instanceof HTMLTextAreaElement ? element.labels : null;
          return (labels?.[0]?.textContent ?? element?.textContent ?? "").trim();
        });
      }
    });

    // The others are production builds, which believe no Host header.
    it.runIf(name === "express")("over plain http on an address of the local network", async () => {
      const other = await startExample(name, { KEYWAY_UPSTREAM: url });
      onTestFinished(() => other.close());
      const { playground } = await open(browser(), desktop);
      onTestFinished(() => playground.page.context().close());
      const { page, signIn, choose, press, ends, picture, serverSaw } = playground;
      await page.goto(`http://${lan}:${other.port}`);
      await signIn("ada");
      for (const [pattern, button, word] of [
        ["Run", "Run", "Answered"],
        ["Subscribe", "Subscribe", "Done"],
        ["Stream", "Stream", "Done"],
        ["Upload", "Upload and run", "Answered"],
      ] as const) {
        await choose(pattern);
        await press(button);
        await ends(word);
        await picture();
      }
      await serverSaw(/upload POST.*200/);
      expect(playground.problems()).toEqual([]);
    });
  });
}

interface Opened {
  readonly playground: Playground;
  readonly answers: () => Promise<readonly string[]>;
}

async function open(browser: Browser, options: BrowserContextOptions): Promise<Opened> {
  const context = await browser.newContext({ ...options, reducedMotion: "reduce" });
  const answers = watchAnswers(context);
  return { playground: drivePlayground(await context.newPage()), answers };
}

/** The public address must be known before the example starts, so port 0 will not do. */
async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listenOnFreePort(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function platformHeaders({ headers }: RecordedCall): Record<string, string> {
  const lines = headers.map(([name, value]) => [name.toLowerCase(), value] as const);
  return Object.fromEntries(lines.filter(([name]) => name.startsWith("x-fal-")));
}

/** True when the focused element shows that it is. Runs in the page. */
function hasOutline(): boolean {
  if (document.activeElement === null) return false;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(document.activeElement);
  return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
}
