import { afterEach, expect, test, vi } from "vitest";
import { realtimeUrl } from "./realtime-url.ts";

const page = (href: string): void => void vi.stubGlobal("location", new URL(href));
afterEach(() => vi.unstubAllGlobals());

test.each([
  ["fal-ai/lcm", {}, "/fal-ai/lcm/realtime"],
  ["fal-ai/lcm/realtime", {}, "/fal-ai/lcm/realtime"],
  ["workflows/me/mine", { maxBuffering: 2 }, "/workflows/me/mine/realtime?max_buffering=2"],
  ["fal-ai/lcm/realtime", { path: "/ws" }, "/fal-ai/lcm/realtime/ws"],
  ["fal-ai/lcm", { path: "live/2" }, "/fal-ai/lcm/live/2"],
  ["123-mine", {}, "/123/mine/realtime"],
])("%s %j", (endpoint, options, expected) => {
  page("https://app.example/deep/page?x#y");
  const proxyUrl = "/api/fal/proxy/";
  expect(realtimeUrl(endpoint, { proxyUrl, ...options })).toBe(`wss://app.example/api/fal/proxy/fal.run${expected}`);
});

test("the mount may be elsewhere, and a page on plain http gets ws:", () => {
  page("http://localhost:3000/");
  expect(realtimeUrl("a/b", { proxyUrl: "/p" })).toBe("ws://localhost:3000/p/fal.run/a/b/realtime");
  expect(realtimeUrl("a/b", { proxyUrl: "https://api.example/p" })).toBe("wss://api.example/p/fal.run/a/b/realtime");
});

test.each([
  "lcm",
  "",
  "a/",
  "/a/b",
  "a//b",
  "https://fal.run/a/b",
  "a/b?x=1",
  "a/b#c",
  "a/ü",
  "a/%2e%2e",
  "a/..",
  "../a/b",
])("%s is no endpoint", (endpoint) => {
  page("https://app.example/");
  expect(() => realtimeUrl(endpoint, { proxyUrl: "/p" })).toThrow("is not an endpoint: write owner/alias");
});

test.each([0, 61, 1.5, NaN])("maxBuffering %s is refused", (maxBuffering) => {
  expect(() => realtimeUrl("a/b", { proxyUrl: "https://app.example/p", maxBuffering })).toThrow("from 1 to 60");
});

test.each([
  ["/api", "there is no page here"],
  ["ftp://app.example/p", "must be an http or https URL"],
])("proxyUrl %s without a page", (proxyUrl, problem) => {
  vi.stubGlobal("location", undefined);
  expect(() => realtimeUrl("a/b", { proxyUrl })).toThrow(problem);
});

test("a path that would change the URL is refused", () => {
  expect(() => realtimeUrl("a/b", { proxyUrl: "https://app.example/p", path: "x?y=1" })).toThrow("plain segments");
});
