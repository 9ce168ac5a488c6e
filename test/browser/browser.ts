import { execFile } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, it } from "vitest";
import type { Certificate } from "../upstream.ts";

/** A Chromium of this machine, and what its process needs. */
interface Found {
  readonly path: string;
  readonly env?: Readonly<Record<string, string>>;
}

const missing = "no browser (install chromium or set CHROMIUM_PATH)";

/** A host that leads to a TLS server of this machine, whose certificate is believed though nobody vouches for it. */
export interface Led {
  readonly host: string;
  readonly port: number;
  readonly certificate: Certificate;
}

/**
 * Tests in one browser, which is started before the first and gone after the last. Where there is none they are skipped, and it
 * is said; in CI they fail. `hosts` are names beside `localhost` that lead to this machine; as a function it is called before the start.
 */
export function describeInBrowser(
  name: string,
  hosts: readonly string[] | (() => Promise<readonly (string | Led)[]>),
  define: (browser: () => Browser) => void,
): void {
  if (found === undefined) return describeWithout(name);
  describe(name, () => {
    let browser: Browser;
    let folder: string;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "keyway-browser-"));
      browser = await launch(found, typeof hosts === "function" ? await hosts() : hosts, folder);
    }, 60_000);
    afterAll(async () => {
      await browser.close();
      await rm(folder, { recursive: true });
    });
    define(() => browser);
  });
}

function describeWithout(name: string): void {
  if (process.env["CI"]) {
    it(name, () => {
      throw new Error(`CI must not skip this: ${missing}`);
    });
    return;
  }
  process.stderr.write(`skipped: ${missing}: ${name}\n`);
  describe.skip(`${name}: skipped, ${missing}`, () => it("needs a browser", () => undefined));
}

/** Playwright gives it an empty profile, and removes that with the browser; what else it writes goes into the folder. */
function launch({ path, env }: Found, hosts: readonly (string | Led)[], folder: string): Promise<Browser> {
  const led = hosts.filter((host) => typeof host !== "string");
  const rules = hosts.map((host) =>
    typeof host === "string" ? `MAP ${host} 127.0.0.1` : `MAP ${host.host} 127.0.0.1:${host.port}`,
  );
  return chromium.launch({
    executablePath: path,
    env: { ...process.env, ...env, TMPDIR: folder, HOME: folder },
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      `--host-resolver-rules=${rules.join(",")}`,
      ...(led.length === 0
        ? []
        : [`--ignore-certificate-errors-spki-list=${led.map((host) => fingerprint(host)).join(",")}`]),
    ],
  });
}

/** The hash of a certificate's key, by which Chromium is told to believe it. */
function fingerprint({ certificate }: Led): string {
  const spki = new X509Certificate(certificate.cert).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("base64");
}

const installed = [
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
  "C:/Program Files/Google/Chrome/Application/chrome.exe",
];
const found = await find();

/** What `CHROMIUM_PATH` names; else npm's, which brings its own libraries; else one that is installed. */
async function find(): Promise<Found | undefined> {
  const stated = process.env["CHROMIUM_PATH"];
  if (stated) return { path: stated };
  const entry = findPackage();
  if (entry !== undefined) return unpack(entry);
  const path = installed.find((candidate) => existsSync(candidate));
  return path === undefined ? undefined : { path };
}

/** npm's Chromium is built for Linux on x64. */
function findPackage(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  try {
    return createRequire(import.meta.url).resolve("@sparticuz/chromium");
  } catch {
    return undefined;
  }
}

/** Unpacks it once, beside the packages. */
async function unpack(entry: string): Promise<Found> {
  const about: unknown = JSON.parse(await readFile(join(dirname(entry), "../package.json"), "utf8"));
  const cache = join(import.meta.dirname, "../../node_modules/.cache");
  const folder = join(cache, `chromium-${(about as { version: string }).version}`);
  if (!existsSync(folder)) {
    await mkdir(cache, { recursive: true });
    const making = await mkdtemp(join(cache, "unpacking-"));
    await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.resolve("./unpack-chromium.ts"))], {
      env: { ...process.env, TMPDIR: making, AWS_LAMBDA_JS_RUNTIME: "nodejs24.x" },
    });
    await writeFile(join(making, "fonts.conf"), fonts(folder));
    // another test file may have been quicker
    await rename(making, folder).catch(() => rm(making, { recursive: true }));
  }
  return {
    path: join(folder, "chromium"),
    env: { LD_LIBRARY_PATH: join(folder, "al2023/lib"), FONTCONFIG_FILE: join(folder, "fonts.conf") },
  };
}

/** The package's own file names folders of another system. */
function fonts(folder: string): string {
  return `<?xml version="1.0"?>
<fontconfig>
  <dir>/usr/share/fonts</dir>
  <dir>${folder}/fonts</dir>
  <cachedir>${folder}/fonts-cache</cachedir>
</fontconfig>
`;
}
