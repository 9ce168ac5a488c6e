import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { tokenProvider } from "./token-provider.ts";

let server: Server;
let proxyUrl: string;
let answer: { status: number; body: string };
let asked: { readonly head: IncomingMessage; readonly body: string }[];

beforeEach(async () => {
  asked = [];
  answer = { status: 200, body: '{"token":"eyJ.a.b"}' };
  server = createServer((req, res) => {
    let body = "";
    req.on("data", (chunk: Buffer) => (body += chunk.toString()));
    req.on("end", () => {
      asked.push({ head: req, body });
      res.writeHead(answer.status, { "content-type": "application/json" }).end(answer.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxyUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/p`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test("asks for the whole endpoint, with the app's own headers", async () => {
  const provide = tokenProvider({ proxyUrl, expiresIn: 30, headers: () => ({ authorization: "Bearer ada" }) });
  expect(await provide("fal-ai/lcm/realtime")).toBe("eyJ.a.b");
  expect(asked.map(({ head, body }) => [head.method, head.url, head.headers, JSON.parse(body)])).toMatchObject([
    [
      "POST",
      "/p",
      { "x-fal-target-url": "https://rest.fal.ai/tokens/realtime", authorization: "Bearer ada" },
      { allowed_apps: ["fal-ai/lcm/realtime"], duration: 30 },
    ],
  ]);
});

test("lives 120 s unless told otherwise; a bare string will do as an answer", async () => {
  answer.body = '"eyJ.c.d"';
  expect(await tokenProvider({ proxyUrl })("a/b")).toBe("eyJ.c.d");
  expect(JSON.parse(asked[0]?.body ?? "")).toEqual({ allowed_apps: ["a/b"], duration: 120 });
});

test.each([
  [403, '{"message":"Tokens for \\"a/b\\" are not given out by this app."}', "are not given out by this app."],
  [500, "<html>", "the proxy answered 500."],
  [200, "{}", "the proxy answered without one."],
  [200, '{"token":{}}', "the proxy answered without one."],
])("%i %s: says why, to onError too", async (status, body, why) => {
  answer = { status, body };
  const onError = vi.fn<(error: Error) => void>();
  const failing = tokenProvider({ proxyUrl, onError })("a/b");
  await expect(failing).rejects.toThrow(`There is no token for a/b: `);
  await expect(failing).rejects.toThrow(why);
  expect(onError).toHaveBeenCalledExactlyOnceWith(await failing.catch((error: unknown) => error));
});

test("by default the console hears of it", async () => {
  const error = vi.spyOn(console, "error").mockReturnValue(undefined);
  answer = { status: 401, body: '{"message":"Nobody is signed in."}' };
  await expect(tokenProvider({ proxyUrl })("a/b")).rejects.toThrow("Nobody is signed in.");
  expect(error).toHaveBeenCalledExactlyOnceWith("There is no token for a/b: Nobody is signed in.");
  error.mockRestore();
});
