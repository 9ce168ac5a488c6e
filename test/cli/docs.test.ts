import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { leaveNothingOpen } from "../conformance/leftovers.ts";
import { freePort } from "../store/redis-server.ts";
import { startUpstream } from "../upstream.ts";
import { type HeaderLine, send } from "../wire.ts";
import { key, start, startGateway, token } from "./command.ts";

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
    env: { KEYWAY_UPSTREAM: upstream.url, SEARCH_TOKEN: "of-search", ADS_TOKEN: "of-ads" },
    files: { "keyway.config.ts": configs[0] ?? "" },
  });
  const url = await gateway.line(/gateway is at (\S+)/);
  const ask = async (bearer: string): Promise<number> => (await send(url, call("fal-ai/flux/dev", bearer))).status;
  expect([await ask("of-search"), await ask("of-ads"), await ask("of-nobody")]).toEqual([200, 200, 401]);
});

describe("behind nginx, as the page sets it up", () => {
  const isInstalled = spawnSync("nginx", ["-v"]).error === undefined;
  if (!isInstalled) console.log("skipped: nginx is not installed");

  it.skipIf(!isInstalled)("calls, handshakes and the doctor go through", async () => {
    const upstream = await startUpstream();
    onTestFinished(() => upstream.close());
    const gateway = await startGateway(["--trust-proxy", "1"], { env: { KEYWAY_UPSTREAM: upstream.url } });
    const port = await freePort();
    await startNginx(port, new URL(gateway.url).host);
    const url = `http://127.0.0.1:${port}/api/fal/proxy`;
    expect((await send(url, call("demo/echo", token))).status).toBe(200);
    const doctor = start(["doctor", url], { env: { FAL_KEY: key, KEYWAY_TOKEN: token } });
    expect((await doctor.exit).code).toBe(0);
    expect(doctor.said()).toMatch(/ok +mount +callers are let in\nok +upgrade +WebSocket handshakes reach the proxy/);
    expect((await send(`http://127.0.0.1:${port}/healthz`)).status).toBe(404);
  });
});

async function startNginx(port: number, gateway: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "keyway-nginx-"));
  const [block = ""] = blocksOf("docs/gateway.md", "nginx");
  const http = block.replace("443 ssl", `127.0.0.1:${port}`).replace("127.0.0.1:4200", gateway);
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}\nhttp { access_log off; ${paths.join(" ")}\n${http}}`,
  );
  const nginx = spawn("nginx", ["-c", file, "-p", folder], { stdio: ["ignore", "ignore", "ignore"] });
  const left = once(nginx, "exit");
  onTestFinished(async () => {
    nginx.kill("SIGTERM");
    await left;
    rmSync(folder, { recursive: true, force: true });
  });
  const ready = (): Promise<boolean> =>
    send(`http://127.0.0.1:${port}/`).then(
      () => true,
      () => false,
    );
  while (!(await ready())) {
    if (nginx.exitCode !== null) throw new Error("nginx did not start");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
