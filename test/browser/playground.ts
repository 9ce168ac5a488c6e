import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import axe from "axe-core";
import type { Locator, Page } from "playwright-core";

/** The example's page, as a person uses it. */
export interface Playground {
  readonly page: Page;
  /** What went wrong and nobody asked for: errors on the console, exceptions. Emptied by being read. */
  readonly problems: () => string[];
  readonly signIn: (user: string) => Promise<void>;
  /** Opens a pattern by the menu. */
  readonly choose: (pattern: string) => Promise<void>;
  /** A control of the pattern's form. */
  readonly field: (label: string) => Locator;
  readonly press: (button: string) => Promise<void>;
  /** The part that shows the answer. */
  readonly response: Locator;
  /** Waits until the time line says how the call ended: `Done`, `Answered`, `Failed`, `Stopped`. */
  readonly ends: (word: string) => Promise<void>;
  /** Waits for the error that is shown; its words. */
  readonly failure: () => Promise<string>;
  /** Waits for a result picture that is really decoded; its size. */
  readonly picture: () => Promise<readonly [width: number, height: number]>;
  /** Waits for a row of the server's own table, such as "run POST … 200". */
  readonly serverSaw: (row: RegExp) => Promise<void>;
}

/** Drives a page that shows the playground or is about to. */
export function drivePlayground(page: Page): Playground {
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  const form = page.getByRole("form", { name: "Request" });
  const response = page.getByRole("region", { name: "Response" });
  return {
    page,
    problems: () => problems.splice(0),
    async signIn(user) {
      await page.getByLabel("Sign in as").fill(user);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText(`Signed in as ${user}`).waitFor();
    },
    async choose(pattern) {
      await page.getByRole("link", { name: pattern, exact: true }).click();
      await page.getByRole("heading", { name: pattern, exact: true, level: 2 }).waitFor();
    },
    field: (label) => form.getByLabel(label),
    press: (button) => form.getByRole("button", { name: button, exact: true }).click(),
    response,
    ends: (word) =>
      response
        .getByRole("status")
        .filter({ hasText: new RegExp(`^${word} after `) })
        .waitFor({ state: "attached" }),
    async failure() {
      const alert = response.getByRole("alert");
      await alert.waitFor();
      return alert.innerText();
    },
    picture: () =>
      response
        .locator("img:visible")
        .last()
        .evaluate(async (image: HTMLImageElement) => {
          await image.decode();
          return [image.naturalWidth, image.naturalHeight] as const;
        }),
    serverSaw: (row) =>
      page
        .getByRole("table", { name: "What the server saw" })
        .getByRole("row")
        .filter({ hasText: row })
        .last()
        .waitFor(),
  };
}

/** What axe-core finds serious or worse, as `rule: element`; by all its rules, or by those that are named. */
export async function findBarriers(page: Page, rules?: string[]): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(axe.source);
  const { violations } = await page.evaluate(
    (runOnly) =>
      (globalThis as unknown as { axe: typeof axe }).axe.run({
        resultTypes: ["violations"],
        ...(runOnly === undefined ? {} : { runOnly }),
      }),
    rules,
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(" ")}`));
}

/** How far the page can be scrolled sideways, in pixels. */
export function sidewaysScroll(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Keeps a picture of the whole page for a person to look at, where `SCREENSHOTS` names a folder for them. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  const folder = process.env["SCREENSHOTS"];
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name.replace(/\W+/g, "-")}.png`), fullPage: true });
}
