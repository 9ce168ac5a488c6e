import { describe, expect, it } from "vitest";
import type { HeaderList } from "../head.ts";
import {
  answerHeaderNames,
  answerHeaders,
  ownHeaders,
  requestHeaderNames,
  requestHeaders,
  whyNeverForwarded,
} from "./headers.ts";

const neverUp = [
  "authorization",
  "cookie",
  "origin",
  "referer",
  "host",
  "connection",
  "keep-alive",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "expect",
  "proxy-authorization",
  "proxy-connection",
  "proxy",
  "forwarded",
  "x-forwarded-for",
  "x-forwarded-host",
  "via",
  "x-real-ip",
  "x-fal-target-url",
  "x-fal-user-id",
  "x-fal-client-proxy",
  "sec-fetch-site",
  "sec-websocket-key",
  "content-encoding",
  "accept-encoding",
  "x-custom",
  "authorization ",
  "x_fal_tags",
  "__proto__",
];

function sentUp(headers: HeaderList, forward: readonly string[] = [], hasBody = true): HeaderList {
  return requestHeaders(headers, forward, hasBody, () => undefined);
}

describe("request headers", () => {
  it.each(requestHeaderNames.map((name) => [name]))("%s crosses", (name) => {
    expect(sentUp([[name, "v"]])).toEqual([[name, "v"]]);
  });
  it.each(neverUp.map((name) => [name]))("%s does not cross", (name) => {
    expect(sentUp([[name, "v"]])).toEqual([]);
  });
  it("joins repeats as RFC 9110 has it", () => {
    const headers: HeaderList = [
      ["accept", "application/json"],
      ["x-fal-tags", "a=1"],
      ["accept", "text/event-stream"],
    ];
    expect(sentUp(headers)).toEqual([
      ["accept", "application/json, text/event-stream"],
      ["x-fal-tags", "a=1"],
    ]);
  });
  it("a length without a body stays here", () => {
    expect(
      sentUp(
        [
          ["content-length", "0"],
          ["content-type", "application/json"],
        ],
        [],
        false,
      ),
    ).toEqual([["content-type", "application/json"]]);
  });
  it("more cross by forwardHeaders", () => {
    expect(sentUp([["x-custom", "v"]], ["x-custom"])).toEqual([["x-custom", "v"]]);
  });
  it("names dropped platform headers that could be let through, and only these", () => {
    const dropped: string[] = [];
    const names = ["x-fal-new", "x-fal-target-url", "x-fal-user-id", "x-other", "cookie", "x-fal-tags"];
    requestHeaders(
      names.map((name) => [name, "v"]),
      [],
      true,
      (name) => dropped.push(name),
    );
    expect(dropped).toEqual(["x-fal-new"]);
  });
});

describe("forwardHeaders cannot name", () => {
  const forbidden = neverUp.filter((name) => !["x-custom", "x-real-ip", "x-fal-client-proxy", "proxy"].includes(name));
  it.each([...forbidden.filter((name) => name !== "x_fal_tags" && name !== "__proto__"), "X-Upper", "a b", "", "a:b"])(
    "%j",
    (name) => {
      expect(whyNeverForwarded(name)).toBeDefined();
    },
  );
  it("while others are fine", () => {
    expect(["x-custom", "x-fal-new", "x_fal_tags"].map(whyNeverForwarded)).toEqual([undefined, undefined, undefined]);
  });
});

describe("answer headers", () => {
  const untouched = { bodyChanges: false, requestId: undefined };
  it.each(answerHeaderNames.map((name) => [name]))("%s crosses", (name) => {
    expect(answerHeaders([[name, "v"]], untouched)).toEqual([[name, "v"]]);
  });
  it.each(
    [
      "set-cookie",
      "access-control-allow-origin",
      "strict-transport-security",
      "content-security-policy",
      "cache-control",
      "etag",
      "server",
      "connection",
      "transfer-encoding",
      "x-fal-cdn-token",
      "location",
      "clear-site-data",
      "refresh",
      "service-worker-allowed",
      "sourcemap",
      "link",
    ].map((name) => [name]),
  )("%s does not cross", (name) => {
    expect(answerHeaders([[name, "v"]], untouched)).toEqual([]);
  });
  it("a listed name that Connection makes hop-by-hop does not cross", () => {
    const headers: HeaderList = [
      ["connection", "close, Retry-After"],
      ["retry-after", "1"],
      ["content-type", "a/b"],
    ];
    expect(answerHeaders(headers, untouched)).toEqual([["content-type", "a/b"]]);
  });
  it("a changed body loses its length, an id its own name", () => {
    const headers: HeaderList = [
      ["content-length", "5"],
      ["x-fal-request-id", "raw"],
    ];
    const requestId = { from: "raw", to: "raw.mac" };
    expect(answerHeaders(headers, { bodyChanges: true, requestId })).toEqual([["x-fal-request-id", "raw.mac"]]);
    expect(answerHeaders([["x-fal-request-id", "another"]], { bodyChanges: true, requestId })).toEqual([
      ["x-fal-request-id", "another"],
    ]);
  });
});

it.each([
  ["plain", false, "no-store, private", "same-origin", undefined],
  ["plain", true, "no-store, private", "cross-origin", undefined],
  ["stream", false, "no-store, private, no-transform", "same-origin", "no"],
  ["stream", true, "no-store, private, no-transform", "cross-origin", "no"],
] as const)("our own headers: %s, cross-origin %s", (kind, crossOrigin, caching, policy, buffering) => {
  const headers = new Map(ownHeaders(kind, crossOrigin));
  expect(headers.get("cache-control")).toBe(caching);
  expect(headers.get("cross-origin-resource-policy")).toBe(policy);
  expect(headers.get("x-accel-buffering")).toBe(buffering);
  expect(headers.get("x-content-type-options")).toBe("nosniff");
  expect(headers.get("content-security-policy")).toBe("sandbox; default-src 'none'");
  expect(headers.get("vary")).toContain("origin");
});
