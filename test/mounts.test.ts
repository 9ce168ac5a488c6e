import { readFileSync, readdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { serve } from "@hono/node-server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { toListener } from "./conformance/web-host.ts";
import { type Upstream, listenOnFreePort, startUpstream } from "./upstream.ts";
import { open, send } from "./wire.ts";

const mounts: Readonly<Record<string, () => Promise<Server>>> = {
  "node-http": async () => (await import("./mounts/node-http.ts")).server,
  fetch: async () => createServer(toListener((await import("./mounts/fetch.ts")).default.fetch)),
  hono: async () => {
    const { app } = await import("./mounts/hono.ts");
    return serve({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }) as Server;
  },
  fastify: async () => {
    const { app } = await import("./mounts/fastify.ts");
    await app.ready();
    return app.server;
  },
};

let upstream: Upstream;
const before = process.env["KEYWAY_UPSTREAM"];

beforeAll(async () => {
  upstream = await startUpstream();
  process.env["KEYWAY_UPSTREAM"] = upstream.url;
});

afterAll(async () => {
  if (before === undefined) delete process.env["KEYWAY_UPSTREAM"];
  else process.env["KEYWAY_UPSTREAM"] = before;
  await upstream.close();
});

describe.each(Object.entries(mounts))("%s", (_name, start) => {
  let server: Server;
  let url: string;

  beforeAll(async () => {
    server = await start();
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : await listenOnFreePort(server);
    url = `http://127.0.0.1:${port}/api/fal/proxy`;
  });

  afterAll(() => {
    server.close();
    server.closeAllConnections();
  });

  const headers = [
    ["authorization", "Bearer ada"],
    ["content-type", "application/json"],
  ] as const;

  it("carries a call, in both forms", async () => {
    const target = ["x-fal-target-url", "https://fal.run/demo/echo"] as const;
    const body = '{"a":1.0}';
    expect((await send(url, { method: "POST", headers: [...headers, target], body })).status).toBe(200);
    const first = await upstream.next();
    expect([first.url, String(await first.whole)]).toEqual(["/fal.run/demo/echo", body]);
    expect(first.values("authorization")).toEqual(["Key emulator"]);
    expect((await send(`${url}/fal.run/demo/echo`, { method: "POST", headers, body })).status).toBe(200);
    expect((await upstream.next()).url).toBe("/fal.run/demo/echo");
  });

  it("refuses a stranger", async () => {
    const target = ["x-fal-target-url", "https://fal.run/demo/echo"] as const;
    const answer = await send(url, {
      method: "POST",
      headers: [["content-type", "application/json"], target],
      body: "{}",
    });
    expect(answer.status).toBe(401);
  });

  it("streams as events come, and stops upstream when the caller leaves", async () => {
    upstream.answer(({ response }) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    });
    const incoming = await open(`${url}/fal.run/demo/echo/stream`, { method: "POST", headers, body: "{}" });
    expect(String(await incoming.read())).toBe("data: 1\n\n");
    incoming.leave();
    await (
      await upstream.next()
    ).closed;
    upstream.answer(({ response }) => void response.end("{}"));
  });
});

it("docs/mounts.md shows these files", () => {
  const page = readFileSync(join(import.meta.dirname, "..", "docs", "mounts.md"), "utf8");
  const shown = [...page.matchAll(/```ts\n\/\/ (\S+)\n\n?([^]*?)```/g)].map(([, path, code]) => [path, code]);
  const files = readdirSync(join(import.meta.dirname, "mounts")).map((name) => `test/mounts/${name}`);
  expect(new Set(shown.map(([path]) => path))).toEqual(new Set(files));
  for (const [path = "", code] of shown) expect(code).toBe(readFileSync(join(import.meta.dirname, "..", path), "utf8"));
});
