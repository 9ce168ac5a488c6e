import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fal } from "@fal-ai/client";
import { type Emulator, createEmulator } from "@keyway/emulator";
import { type Keyway, createHandler } from "@keyway/express";
import express from "express";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Mounted, listen } from "./conformance/mount.ts";

// What docs/clients.md shows, as it stands there; its Python is run by npm run test:python.

const page = readFileSync(join(import.meta.dirname, "../docs/clients.md"), "utf8");
const here = mkdtempSync(join(import.meta.dirname, "clients-"));
const hasCurl = spawnSync("curl", ["--version"]).error === undefined;
if (!hasCurl && (process.env["CI"] ?? "") !== "") throw new Error("no curl: apt-get install curl");
if (!hasCurl) console.log("skipped: no curl");

let emulator: Emulator;
let mounted: Mounted;

beforeAll(async () => {
  emulator = createEmulator({ timeScale: 0 });
  // Never over, so nothing is delivered to the address of the page.
  emulator.app("fal-ai/flux", async (_input, { signal }) => void (await once(signal, "abort")));
  vi.stubEnv("KEYWAY_UPSTREAM", (await emulator.listen()).url);
  vi.stubEnv("APP_TOKEN", "token-of-ada");
  for (const name of ["FAL_KEY", "FAL_KEY_ID", "FAL_KEY_SECRET"]) vi.stubEnv(name, undefined);
  write(
    "lib/app.ts",
    `export const userOfToken = async (token: string | undefined) => (token === "token-of-ada" ? { id: "ada" } : null);
     export const saveResult = async (): Promise<void> => undefined;`,
  );
  const { keyway } = await load<{ keyway: Keyway }>("lib/keyway.ts", (code) => code);
  const proxy = createHandler(keyway);
  mounted = await listen(createServer(express().use("/api/fal/proxy", proxy)), proxy);
});

afterAll(async () => {
  rmSync(here, { recursive: true });
  vi.unstubAllEnvs();
  await mounted.close();
  await emulator.close();
});

function write(name: string, code: string): string {
  const file = join(here, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, code);
  return file;
}

/** The page's block that names its file in its first line. */
async function load<Exports>(name: string, change: (code: string) => string): Promise<Exports> {
  const code = page.split("```ts\n").find((block) => block.startsWith(`// ${name}\n`)) ?? "";
  return (await import(/* @vite-ignore */ write(name, change(code.split("```")[0] ?? "")))) as Exports;
}

function toOurs(code: string): string {
  return code.replaceAll("https://app.example/api/fal/proxy", mounted.url);
}

/** fal's documented call, in the shell; answers what it prints. */
async function curl(change: (command: string) => string, token: string): Promise<unknown> {
  const command = /```sh\n(curl [^]*?)```/.exec(page)?.[1] ?? "";
  const shell = spawn("sh", ["-c", change(toOurs(command))], {
    env: { PATH: process.env["PATH"], FAL_KEY: token },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [printed] = await Promise.all([text(shell.stdout), once(shell, "close")]);
  return JSON.parse(printed);
}

it("every block is run", () => {
  expect(page.match(/```\w+/g)).toEqual(["```ts", "```sh", "```ts", "```sh", ...Array(4).fill("```python")]);
});

describe.skipIf(!hasCurl)("fal's documented cURL call", () => {
  const unchanged = (command: string): string => command;

  it("submits, with a webhook where the app allows it, and the token stays", async () => {
    const arriving = emulator.nextCall(({ kind }) => kind === "submit");
    const answer = await curl(unchanged, "token-of-ada");
    expect(answer).toMatchObject({
      status: "IN_QUEUE",
      request_id: expect.stringMatching(/^[0-9a-f-]{36}\.[\w-]{22}$/),
    });
    const { url, headers, body } = await arriving;
    expect(new URL(url, "http://x").searchParams.get("fal_webhook")).toBe("https://url.to.your.app/api/fal/webhook");
    expect(new Map(headers.map(([name, value]) => [name.toLowerCase(), value])).get("authorization")).toBe(
      "Key emulator",
    );
    expect(JSON.parse(Buffer.from(body).toString())).toEqual({ prompt: "Photo of a cute dog" });
  });

  it("elsewhere, and by nobody, it is refused", async () => {
    const before = emulator.calls.length;
    const elsewhere = (command: string): string => command.replace("url.to.your.app", "another.example");
    expect(await curl(elsewhere, "token-of-ada")).toMatchObject({ code: "webhook_refused" });
    expect(await curl(unchanged, "a-guess")).toMatchObject({ code: "unauthorized" });
    expect(emulator.calls.length).toBe(before);
  });
});

it("JavaScript outside a page", async () => {
  await load("call.ts", toOurs);
  const { data } = await fal.run("fal-ai/any-llm", { input: { prompt: "a" } });
  expect(data).toEqual({ prompt: "a" });
});
