import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { proxyRealtime } from "./proxy-realtime.ts";

/** Stands in for the browser's own, and remembers what it was asked to open. */
class Native {
  static readonly OPEN = 1;
  readonly url: string;
  readonly protocols: unknown;
  constructor(url: string | URL, protocols?: unknown) {
    this.url = String(url);
    this.protocols = protocols;
  }
}
const proxyUrl = "https://app.example/api/fal/proxy";

beforeEach(() => void vi.stubGlobal("WebSocket", Native));
afterEach(() => vi.unstubAllGlobals());

/** What fal-js 1.10.1 does with a token. */
function connect(token: string, more: Record<string, string> = {}): WebSocket {
  const query = new URLSearchParams({ fal_jwt_token: token, ...more });
  return new WebSocket(`wss://fal.run/fal-ai/lcm/realtime?${query.toString()}`);
}

test("a connection made with its provider goes to the mount, without anything in place of a token", async () => {
  const throughProxy = proxyRealtime({ proxyUrl });
  const token = await throughProxy("fal-ai/lcm/realtime");
  expect(connect(token).url).toBe("wss://app.example/api/fal/proxy/fal.run/fal-ai/lcm/realtime");
  expect(connect(token, { max_buffering: "2" }).url).toBe(
    "wss://app.example/api/fal/proxy/fal.run/fal-ai/lcm/realtime?max_buffering=2",
  );
  throughProxy.restore();
});

test("fal's other name for its host is led too", async () => {
  const throughProxy = proxyRealtime({ proxyUrl });
  const query = new URLSearchParams({ fal_jwt_token: await throughProxy("") });
  const { url } = new WebSocket(`wss://falrun.com/a/b/realtime?${query.toString()}`);
  expect(url).toBe("wss://app.example/api/fal/proxy/fal.run/a/b/realtime");
  throughProxy.restore();
});

test("two mounts on one page do not meet", async () => {
  const one = proxyRealtime({ proxyUrl });
  const other = proxyRealtime({ proxyUrl: "http://localhost:3000/p" });
  expect(connect(await one("")).url).toMatch(/^wss:\/\/app\.example\/api/);
  expect(connect(await other("")).url).toMatch(/^ws:\/\/localhost:3000\/p\/fal\.run/);
  one.restore();
  expect(connect(await other("")).url).toMatch(/^ws:/);
  other.restore();
});

test.each([
  "wss://fal.run/fal-ai/lcm/realtime?fal_jwt_token=eyJ.a.b",
  "wss://fal.run/fal-ai/lcm/realtime",
  "wss://fal.run.evil.example/?fal_jwt_token=keyway-proxied%3Ahttps%3A%2F%2Fapp.example",
  "wss://app.example/hmr?fal_jwt_token=keyway-proxied%3Ax",
  "/relative",
])("%s is opened as it stands", (url) => {
  const throughProxy = proxyRealtime({ proxyUrl });
  const socket = new WebSocket(url, ["a", "b"]);
  expect(socket).toMatchObject({ url, protocols: ["a", "b"] });
  expect(socket).toBeInstanceOf(Native);
  expect(socket).toBeInstanceOf(WebSocket);
  expect(WebSocket.OPEN).toBe(1);
  throughProxy.restore();
});

test("a subclass of the page's own stays one", () => {
  const throughProxy = proxyRealtime({ proxyUrl });
  class Counted extends WebSocket {}
  expect(new Counted("wss://app.example/")).toBeInstanceOf(Counted);
  throughProxy.restore();
});

test("restore() puts the page's own back when the last has called it; connecting fails from then on", async () => {
  const one = proxyRealtime({ proxyUrl });
  const other = proxyRealtime({ proxyUrl });
  one.restore();
  one.restore();
  expect(globalThis.WebSocket).not.toBe(Native);
  await expect(one("")).rejects.toThrow("restore() was called");
  other.restore();
  expect(globalThis.WebSocket).toBe(Native);
});

test("who wrapped it since keeps it", () => {
  const throughProxy = proxyRealtime({ proxyUrl });
  const wrapped = class extends WebSocket {};
  vi.stubGlobal("WebSocket", wrapped);
  throughProxy.restore();
  expect(globalThis.WebSocket).toBe(wrapped);
});

test.each(["/api/fal/proxy", "api/fal/proxy"])("on a server it does nothing with %s", async (path) => {
  vi.stubGlobal("location", undefined);
  const throughProxy = proxyRealtime({ proxyUrl: path });
  expect(globalThis.WebSocket).toBe(Native);
  await expect(throughProxy("")).rejects.toThrow("there is no page here");
  throughProxy.restore();
});

test("where there is no WebSocket it does nothing with a whole URL either", async () => {
  vi.stubGlobal("WebSocket", undefined);
  const throughProxy = proxyRealtime({ proxyUrl });
  await expect(throughProxy("")).rejects.toThrow("there is no WebSocket here");
  throughProxy.restore();
});
