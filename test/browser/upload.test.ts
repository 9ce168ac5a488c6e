import { createHash } from "node:crypto";
import { createEmulator, type RecordedCall } from "@keyway/emulator";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { connectByHeader } from "../client/connect.ts";
import { mountPath } from "../conformance/mount.ts";
import { byName } from "../conformance/stage.ts";
import { describeInBrowser } from "./browser.ts";
import { bundleClientPage } from "./bundle.ts";
import { toBytes } from "./bytes.ts";
import type { ClientPage } from "./client-page.ts";
import { type Site, startSite } from "./site.ts";

const app = "app.test";
const small = 5 * 1024;
const mebibyte = 1024 * 1024;
const large = 91 * mebibyte;
const emulator = createEmulator({ timeScale: 0, recordedBytes: 1024 });
let site: Site;

beforeAll(async () => {
  const { url } = await emulator.listen();
  site = await startSite({
    script: await bundleClientPage(),
    options: (origin) => ({
      authorize: byName,
      endpoints: ["demo/**"],
      upstream: { url, key: "emulator" },
      publicUrl: origin(app) + mountPath,
    }),
  });
});
afterAll(async () => {
  await site.close();
  await emulator.close();
});
beforeEach(() => emulator.reset());

/** The app's own client: uploads so many bytes as a film, and sends so many as a Blob inside an input; both answer the file's URL. */
interface Uploader {
  readonly upload: (size: number) => Promise<string>;
  readonly send: (size: number) => Promise<string>;
}

describe("uploads from a server", () => {
  const client = () => connectByHeader({ url: site.mount("127.0.0.1") });
  checkUploads({
    upload: (size) => client().storage.upload(new File([toBytes(size)], "film.mp4", { type: "video/mp4" })),
    async send(size) {
      const input = { pictures: [{ image: new Blob([toBytes(size)], { type: "image/png" }) }] };
      const { data } = await client().subscribe("demo/echo", { input });
      return imageOf(data);
    },
  });
});

describeInBrowser("uploads from a page", [app], (browser) => {
  let context: BrowserContext;
  let page: Page;
  beforeAll(async () => {
    context = await browser().newContext();
    await context.addCookies([{ name: "session", value: "ada", url: site.origin(app) }]);
    page = await context.newPage();
    await page.goto(site.origin(app));
  });
  afterAll(() => context.close());

  checkUploads({
    upload: (size) =>
      page.evaluate(
        ([proxyUrl, bytes]) => {
          const { createFalClient, toBytes: make } = globalThis as unknown as ClientPage;
          return createFalClient({ proxyUrl }).storage.upload(
            new File([make(bytes)], "film.mp4", { type: "video/mp4" }),
          );
        },
        [mountPath, size] as const,
      ),
    async send(size) {
      const data = await page.evaluate(
        async ([proxyUrl, bytes]) => {
          const { createFalClient, toBytes: make } = globalThis as unknown as ClientPage;
          const input = { pictures: [{ image: new Blob([make(bytes)], { type: "image/png" }) }] };
          return (await createFalClient({ proxyUrl }).subscribe("demo/echo", { input })).data;
        },
        [mountPath, size] as const,
      );
      return imageOf(data);
    },
  });
});

function checkUploads({ upload, send }: Uploader): void {
  it("5 KB, in one piece", async () => {
    expect(await download(await upload(small))).toEqual({ type: "video/mp4", sha256: hash(toBytes(small)) });
    expect(toSteps(emulator.calls)).toEqual(["POST /storage/upload/initiate", `PUT ${small}`, "GET 0"]);
  });

  it("91 MiB, in ten parts", { timeout: 120_000 }, async () => {
    expect(await download(await upload(large))).toEqual({ type: "video/mp4", sha256: hash(toBytes(large)) });
    expect(toSteps(emulator.calls)).toEqual([
      "POST /storage/upload/initiate-multipart",
      ...Array.from({ length: 9 }, () => `PUT ${10 * mebibyte}`),
      `PUT ${mebibyte}`,
      expect.stringMatching(/^POST \d+$/),
      "GET 0",
    ]);
  });

  it("a Blob inside an input", async () => {
    expect(await download(await send(small))).toEqual({ type: "image/png", sha256: hash(toBytes(small)) });
  });
}

function imageOf(data: unknown): string {
  return (data as { pictures: [{ image: string }] }).pictures[0].image;
}

async function download(file: string): Promise<{ readonly type: string | null; readonly sha256: string }> {
  const answer = await fetch(file);
  return { type: answer.headers.get("content-type"), sha256: hash(new Uint8Array(await answer.arrayBuffer())) };
}

function hash(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The way of a file: what is asked of fal, and how many bytes its file store got. Browsers ask for leave before; that is no step. */
function toSteps(calls: readonly RecordedCall[]): string[] {
  return calls
    .filter(({ method }) => method !== "OPTIONS")
    .map(({ kind, method, path, bytes }) => `${method} ${kind === "cdn" ? bytes : path}`);
}
