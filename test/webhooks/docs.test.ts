import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type RequestListener, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import type { Keyway } from "@keyway/core";
import { type Emulator, createEmulator } from "@keyway/emulator";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

// What docs/webhooks.md shows is written to files, type-checked as one project, and run before the emulator.

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/webhooks.md"), "utf8");
const here = mkdtempSync(join(import.meta.dirname, "docs-"));
const fences = new Map(
  [...page.matchAll(/```ts\n\/\/ (\S+)\n([^]*?)```/g)].map(([, name = "", code = ""]) => [name, code]),
);

/** What the reader has: his sessions, his database, and the aliases of his framework. */
const given: Readonly<Record<string, string>> = {
  "lib/session.ts": `export const userOfSession = async (cookie: string | undefined): Promise<{ id: string } | null> =>
    cookie === undefined ? null : { id: cookie };`,
  "lib/database.ts": `export const saved: unknown[] = [];
export const database = { save: async (row: object): Promise<void> => void saved.push(row) };`,
  "tsconfig.json": JSON.stringify({
    extends: "../../tsconfig.json",
    compilerOptions: {
      customConditions: ["@keyway/source"],
      paths: { "@/lib/*": ["./lib/*.ts"], "$lib/server/*": ["./lib/*.ts"] },
    },
    include: ["**/*.ts"],
    references: [],
  }),
};

interface Arrival {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

let emulator: Emulator;
let hook: Server;
let arrivals: Arrival[] = [];

beforeAll(async () => {
  for (const [name, text] of [...Object.entries(given), ...fences]) {
    mkdirSync(dirname(join(here, name)), { recursive: true });
    writeFileSync(join(here, name), text);
  }
  emulator = createEmulator({ timeScale: 0 });
  vi.stubEnv("KEYWAY_UPSTREAM", (await emulator.listen()).url);
  hook = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const headers = Object.entries(request.headers).filter(([name]) => name.startsWith("x-fal-"));
      arrivals.push({
        url: request.url ?? "",
        headers: Object.fromEntries(headers) as never,
        body: Buffer.concat(chunks),
      });
      response.end();
    });
  });
  vi.stubEnv("PUBLIC_URL", "https://app.example/api/fal/proxy");
  vi.stubEnv("WEBHOOK_URL", `${await listen(hook)}/api/fal/webhook`);
});

afterEach(() => vi.unstubAllGlobals());

afterAll(async () => {
  rmSync(here, { recursive: true });
  vi.unstubAllEnvs();
  await emulator.close();
  await new Promise((resolve) => hook.close(resolve));
});

async function listen(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function load<Exports>(name: string): Promise<Exports> {
  expect([...fences.keys(), ...Object.keys(given)]).toContain(name);
  const path = join(here, name);
  const alias = /"(?:@\/lib|\$lib\/server)\/(\w+)"/g;
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(alias, (_, file: string) => JSON.stringify(join(here, `lib/${file}.ts`))),
  );
  return (await import(/* @vite-ignore */ path)) as Exports;
}

/** Submits as a page of the app does, and waits for what fal delivers. */
async function submit(): Promise<Arrival & { readonly id: string }> {
  const { keyway } = await load<{ keyway: Keyway }>("lib/keyway.ts");
  arrivals = [];
  const response = await keyway.fetch(
    new Request("https://app.example/api/fal/proxy", {
      method: "POST",
      headers: {
        cookie: "session=ada",
        "sec-fetch-site": "same-origin",
        "content-type": "application/json",
        "x-fal-target-url": "https://queue.fal.run/fal-ai/flux/dev",
      },
      body: '{"prompt":"a cat"}',
    }),
  );
  const { request_id: id } = (await response.json()) as { request_id: string };
  const arrival = await vi.waitFor(
    () => {
      const [first] = arrivals;
      if (first === undefined) throw new Error("nothing arrived");
      return first;
    },
    { timeout: 15_000 },
  );
  return { ...arrival, id };
}

async function saved(): Promise<readonly Record<string, unknown>[]> {
  return (await load<{ saved: Record<string, unknown>[] }>("lib/database.ts")).saved;
}

/** A delivery handed to a door: refused when it was written anew, then kept, once, with its caller. */
async function tryDoor(post: (request: Request) => Promise<Response>): Promise<void> {
  const { url, headers, body, id } = await submit();
  const request = (text: string): Request =>
    new Request(`https://app.example${url}`, { method: "POST", headers, body: text });
  const anew = JSON.stringify(JSON.parse(body.toString()));
  expect((await post(request(anew))).status).toBe(401);
  for (let copy = 0; copy < 2; copy += 1) expect((await post(request(body.toString()))).status).toBe(200);
  const rows = (await saved()).filter(({ requestId }) => requestId === id);
  expect(rows).toEqual([{ requestId: id, caller: "ada", endpoint: "fal-ai/flux/dev", result: expect.anything() }]);
}

async function tryServer(listener: RequestListener): Promise<void> {
  const server = createServer(listener);
  const origin = await listen(server);
  await tryDoor(async (request) => {
    const { pathname, search } = new URL(request.url);
    return fetch(origin + pathname + search, { method: "POST", headers: request.headers, body: await request.text() });
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

it("has at most 200 lines, and no block that is not run here", () => {
  expect(page.split("\n").length).toBeLessThanOrEqual(201);
  expect(page.match(/```ts/g)).toHaveLength(fences.size);
});

it("is type-checked", { timeout: 60_000 }, () => {
  const tsc = join(root, "node_modules/.bin/tsc");
  const problems = (): string => {
    try {
      return execFileSync(tsc, ["--noEmit", "-p", here], { encoding: "utf8", cwd: root });
    } catch (error) {
      return String((error as { stdout?: unknown }).stdout);
    }
  };
  expect(problems()).toBe("");
});

type Door = { POST: (request: Request) => Promise<Response> };
type KitDoor = { POST: (event: object) => Promise<Response> };

describe("the doors", () => {
  it("of Express", async () => tryServer((await load<{ app: RequestListener }>("express/app.ts")).app));

  it("of Next.js", async () => tryDoor((await load<Door>("app/api/fal/webhook/route.ts")).POST));

  it("of SvelteKit", async () => {
    const { POST } = await load<KitDoor>("src/routes/api/fal/webhook/+server.ts");
    await tryDoor((request) => POST({ request, getClientAddress: () => "127.0.0.1" }));
  });

  it("of plain Node", async () => {
    const { server } = await load<{ server: Server }>("node/server.ts");
    await tryServer((request, response) => server.emit("request", request, response));
  });

  it("of the web", async () => {
    const { default: worker } = await load<{ default: { fetch: (request: Request) => Promise<Response> } }>(
      "worker/index.ts",
    );
    await tryDoor(worker.fetch);
  });
});

it("the page submits, leaves and comes back", async () => {
  const { app } = await load<{ app: RequestListener }>("express/app.ts");
  const server = createServer(app);
  const proxyUrl = `${await listen(server)}/api/fal/proxy`;
  const { submit: submitFrom, latestResult } = await load<{
    submit: (proxyUrl: string, prompt: string) => Promise<string>;
    latestResult: (proxyUrl: string) => Promise<unknown>;
  }>("page/gallery.ts");
  const real = globalThis.fetch;
  vi.stubGlobal("fetch", (input: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    if (input.startsWith(proxyUrl)) headers.set("cookie", "session=eve");
    return real(input, { ...init, headers });
  });
  emulator.faults.add({ delivery: { lost: true } });
  await submitFrom(proxyUrl, "a dog");
  expect(await latestResult(proxyUrl)).toBeUndefined();
  const { keyway } = await load<{ keyway: Keyway }>("lib/keyway.ts");
  await vi.waitFor(async () => expect(await keyway.settle()).toBeGreaterThan(0), { timeout: 15_000 });
  expect(await latestResult(proxyUrl)).toMatchObject({ prompt: "a dog" });
  expect((await saved()).at(-1)).toMatchObject({ caller: "eve", endpoint: "fal-ai/flux/dev" });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

it("the timer settles every minute", async () => {
  const { keyway } = await load<{ keyway: Keyway }>("lib/keyway.ts");
  const settle = vi.spyOn(keyway, "settle").mockResolvedValue(0);
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  try {
    const { timer } = await load<{ timer: NodeJS.Timeout }>("lib/timer.ts");
    vi.advanceTimersByTime(59_999);
    expect(settle).not.toHaveBeenCalled();
    vi.advanceTimersByTime(60_001);
    expect(settle).toHaveBeenCalledTimes(2);
    clearInterval(timer);
  } finally {
    vi.useRealTimers();
    settle.mockRestore();
  }
});

it("verifying alone refuses what fal did not sign", async () => {
  const { POST } = await load<Door>("lib/verify.ts");
  const request = new Request("https://app.example/hook", { method: "POST", body: "{}" });
  expect((await POST(request)).status).toBe(401);
});
