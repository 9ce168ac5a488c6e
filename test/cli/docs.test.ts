import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { hasNginx, startNginx } from "../nginx.ts";
import { startUpstream } from "../upstream.ts";
import { type HeaderLine, send } from "../wire.ts";
import { key, leadTo, start, startGateway, token } from "./command.ts";

// The files that docs/gateway.md and the package's README show are checked and run.

leaveNothingOpen();

const root = join(import.meta.dirname, "../..");

function blocksOf(page: string, language: string): string[] {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(new RegExp(`\`\`\`${language}\n([^]*?)\`\`\``, "g"))].map(([, code = ""]) => code);
}

const configs = [...blocksOf("docs/gateway.md", "ts"), ...blocksOf("packages/cli/README.md", "ts")];

function call(endpoint: string, bearer: string): { method: string; headers: HeaderLine[]; body: string } {
  const headers: HeaderLine[] = [
    ["x-fal-target-url", `https://fal.run/${endpoint}`],
    ["authorization", `Bearer ${bearer}`],
    ["content-type", "application/json"],
  ];
  return { method: "POST", headers, body: "{}" };
}

it("both pages show a config, and its types are right", () => {
  expect(configs).toHaveLength(2);
  const here = mkdtempSync(join(import.meta.dirname, "docs-"));
  onTestFinished(() => rmSync(here, { recursive: true }));
  for (const [at, config] of configs.entries()) writeFileSync(join(here, `${at}.ts`), config);
  const project = { extends: "../../tsconfig.json", compilerOptions: { customConditions: ["@keyway/source"] } };
  writeFileSync(join(here, "tsconfig.json"), JSON.stringify({ ...project, include: ["*.ts"], references: [] }));
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", here], { encoding: "utf8" });
});

it("the config with two teams knows both and nobody else", async () => {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  const gateway = start(["serve", "--port", "0"], {
    env: { ...leadTo(upstream), SEARCH_TOKEN: "of-search", ADS_TOKEN: "of-ads" },
    files: { "keyway.config.ts": configs[0] ?? "" },
  });
  const url = await gateway.line(/gateway is at (\S+)/);
  const ask = async (bearer: string): Promise<number> => (await send(url, call("fal-ai/flux/dev", bearer))).status;
  expect([await ask("of-search"), await ask("of-ads"), await ask("of-nobody")]).toEqual([200, 200, 401]);
});

if (!hasNginx) console.log("skipped: nginx is not installed");

it.skipIf(!hasNginx)("behind nginx, as the page sets it up, calls, handshakes and the doctor go through", async () => {
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  const files = { "keyway.config.mjs": `export default { upstream: ${JSON.stringify(upstream.option)} };` };
  const gateway = await startGateway(["--trust-proxy", "1"], { files });
  const nginx = await startNginx(gateway.url, asShown);
  onTestFinished(() => nginx.close());
  const url = `${nginx.origin}/api/fal/proxy`;
  expect((await send(url, call("demo/echo", token))).status).toBe(200);
  const doctor = start(["doctor", url], { env: { FAL_KEY: key, KEYWAY_TOKEN: token } });
  const { code } = await doctor.exit;
  expect(code, doctor.said()).toBe(0);
  expect(doctor.said()).toMatch(/ok +mount +callers are let in\nok +upgrade +WebSocket handshakes reach the proxy/);
  expect((await send(`${nginx.origin}/healthz`)).status).not.toBe(200);
});

function asShown(port: number, gateway: string): string {
  const [block = ""] = blocksOf("docs/gateway.md", "nginx");
  return block.replace("443 ssl", `127.0.0.1:${port}`).replace("127.0.0.1:4200", gateway);
}
