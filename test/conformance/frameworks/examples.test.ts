import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createFalClient } from "@fal-ai/client";
import { type Emulator, createEmulator } from "@keyway/emulator";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { tryWebhook } from "../../webhooks/example-flow.ts";

const falKey = "example-key-id:example-key-secret";

describe.each([
  ["nextjs", []],
  ["sveltekit", []],
  ["nextjs", ["--dev"]],
  ["sveltekit", ["--dev"]],
] as const)("examples/%s %s", (name, flags) => {
  let emulator: Emulator;
  let child: ChildProcess;
  let origin: string;
  const said: string[] = [];

  beforeAll(async () => {
    emulator = createEmulator({ timeScale: 0.1 });
    const { url } = await emulator.listen();
    child = spawn(process.execPath, [join(import.meta.dirname, "../../../examples", name, "start.ts"), ...flags], {
      env: { PATH: process.env["PATH"], PORT: "0", KEYWAY_UPSTREAM: url, FAL_KEY: falKey },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stderr?.on("data", (bytes) => said.push(String(bytes)));
    origin = await listening(child, said);
  }, 30_000);

  afterAll(async () => {
    const open = await connect(realtime, { cookie: await signIn("ada"), origin });
    const parted = once(open, "close");
    const left = once(child, "exit");
    child.kill("SIGTERM");
    const [code]: unknown[] = await left;
    expect([code, said.join("").includes(falKey)]).toEqual([0, false]);
    // Vite's development server does not close: it exits.
    const closed: unknown[] = await parted;
    expect(closed[0]).toBe(name === "sveltekit" && flags.length > 0 ? 1006 : 1001);
    await emulator.close();
  });

  const realtime = "/api/fal/proxy/fal.run/demo/realtime/realtime";

  function connect(path: string, headers: Record<string, string> = {}, protocol: string[] = []): Promise<WebSocket> {
    const socket = new WebSocket(origin.replace("http:", "ws:") + path, protocol, { headers });
    return new Promise((resolve, reject) => {
      socket.once("open", () => resolve(socket)).once("error", reject);
    });
  }

  it("carries a WebSocket as its very first request, for who is signed in", async () => {
    // Next takes connections before it has run instrumentation.ts, and requests wait for that.
    if (name === "nextjs") await fetch(`${origin}/api/config`);
    await expect(connect(realtime, { origin })).rejects.toThrow("401");
    const cookie = await signIn("ada");
    await expect(connect(realtime, { cookie, origin: "https://evil.example" })).rejects.toThrow("403");
    const socket = await connect(realtime, { cookie, origin });
    const answer = once(socket, "message");
    socket.send(JSON.stringify({ prompt: "a lighthouse", request_id: "1" }));
    expect(JSON.parse(String((await answer)[0]))).toMatchObject({ prompt: "a lighthouse", request_id: "1" });
    const closed = once(socket, "close");
    socket.close(1000, "done");
    expect((await closed)[0]).toBe(1000);
  });

  it("leaves the framework its own WebSocket, and nobody's is refused", { timeout: 20_000 }, async () => {
    const nobodys = expect(connect("/chat", { origin })).rejects.toThrow("404");
    if (flags.length > 0) {
      const own = name === "nextjs" ? ["/_next/hmr?id=1"] : [await hotPath(), {}, ["vite-hmr"]];
      (await connect(...(own as Parameters<typeof connect>))).terminate();
    }
    await nobodys;
  });

  /** Vite's client carries the token that its WebSocket asks for. */
  async function hotPath(): Promise<string> {
    const client = await fetch(`${origin}/@vite/client`).then((answer) => answer.text());
    return `/?token=${/wsToken = "([^"]+)"/.exec(client)?.[1] ?? ""}`;
  }

  async function signIn(user: string): Promise<string> {
    const form = { method: "POST", headers: { "content-type": "text/plain", origin }, body: '{"user":"mallory"}' };
    const forged = await fetch(`${origin}/api/session`, form);
    expect([forged.status, forged.headers.get("set-cookie")]).toEqual([400, null]);
    const answer = await fetch(`${origin}/api/session`, {
      method: "POST",
      headers: { "content-type": "application/json", origin },
      body: JSON.stringify({ user }),
    });
    expect(answer.status).toBe(200);
    const [cookie] = answer.headers.getSetCookie();
    expect(cookie).toMatch(/^session=ada\.[\w-]+;.*HttpOnly/i);
    return cookie?.split(";")[0] ?? "";
  }

  it("serves the page", async () => {
    const answer = await fetch(origin);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/html")]);
    expect(await answer.text()).not.toContain(falKey);
  });

  it("calls for who is signed in, with the key of the emulator, and for nobody else", async () => {
    const { body } = await fetch(`${origin}/api/config`).then(async (answer) => ({ body: await answer.json() }));
    expect(body).toEqual({ emulator: true });
    const cookie = await signIn("ada");
    const fal = createFalClient({
      proxyUrl: { url: `${origin}/api/fal/proxy`, when: "always" },
      requestMiddleware: async (request) => ({ ...request, headers: { ...request.headers, cookie, origin } }),
    });
    expect((await fal.run("demo/echo", { input: { a: 1 } })).data).toEqual({ a: 1 });
    expect((await fal.subscribe("demo/image", { input: { prompt: "a lighthouse" } })).data).toMatchObject({
      prompt: "a lighthouse",
    });
    const stranger = createFalClient({ proxyUrl: { url: `${origin}/api/fal/proxy`, when: "always" } });
    await expect(stranger.run("demo/echo", { input: {} })).rejects.toMatchObject({ status: 401 });
    const keys = emulator.calls.flatMap(({ headers }) => headers.filter(([header]) => /^authorization$/i.test(header)));
    expect(new Set(keys.map(([, value]) => value))).toEqual(new Set(["Key emulator"]));
  });

  it("tells its user what the proxy did, as it happens", async () => {
    const cookie = await signIn("ada");
    const leaving = new AbortController();
    const events = await fetch(`${origin}/api/events`, { headers: { cookie }, signal: leaving.signal });
    expect([events.status, events.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    await fetch(`${origin}/api/fal/proxy`, {
      method: "POST",
      headers: {
        cookie,
        origin,
        "content-type": "application/json",
        "x-fal-target-url": "https://fal.run/demo/echo",
      },
      body: "{}",
    });
    let text = "";
    for await (const chunk of events.body ?? []) {
      text += Buffer.from(chunk).toString();
      if (text.includes('"outcome":"complete"')) break;
    }
    expect(text).toContain('"outcome":"admitted"');
    leaving.abort();
    expect((await fetch(`${origin}/api/events`)).status).toBe(401);
  });

  it("is told of a finished job by webhook, once, though 100 copies come", async () => {
    const cookie = await signIn("ada");
    await tryWebhook({ emulator, origin, cookie, said: () => said.join("") });
  });

  it("signs out without a content-type", async () => {
    const cookie = await signIn("ada");
    const answer = await fetch(`${origin}/api/session`, { method: "DELETE", headers: { cookie, origin } });
    expect(answer.status).toBe(204);
    expect(answer.headers.getSetCookie()[0]).toMatch(/^session=;/);
  });
});

/** Waits until the example says where it is and answers there. */
async function listening({ stdout }: ChildProcess, said: string[]): Promise<string> {
  if (stdout === null) throw new Error("no output");
  for await (const line of createInterface(stdout)) {
    said.push(`${line}\n`);
    const origin = /^Keyway's example is at (http:.*)$/.exec(line)?.[1];
    if (origin === undefined) continue;
    stdout.on("data", (bytes: Buffer) => said.push(bytes.toString()));
    return origin;
  }
  throw new Error(`the example left before it listened: ${said.join("")}`);
}
