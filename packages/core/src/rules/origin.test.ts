import { afterEach, describe, expect, it, vi } from "vitest";
import type { Head, HeaderList } from "../head.ts";
import { type KeywayOptions, type Settings, resolveOptions } from "../options.ts";
import { checkOrigin, corsHeaders, isPrivateHost, ownUrl, preflightHeaders } from "./origin.ts";

afterEach(() => vi.unstubAllEnvs());

const publicUrl = "https://app.example/api/fal/proxy";
const partner = "https://partner.example";

function settingsOf(options: Partial<KeywayOptions>, production = true): Settings {
  vi.stubEnv("NODE_ENV", production ? "production" : "");
  return resolveOptions({ authorize: () => null, endpoints: "any", apiKey: "key-id:key-secret", ...options });
}

function headOf(headers: Record<string, string>, upgrade = false): Head {
  const list: HeaderList = Object.entries(headers);
  const path = "/api/fal/proxy";
  return {
    method: "POST",
    path,
    query: null,
    mount: undefined,
    headers: list,
    address: undefined,
    secure: false,
    upgrade,
  };
}

const cookie = "session=1";
type Row = [headers: Record<string, string>, header: boolean, path: boolean, socket: boolean];

describe("with publicUrl, in production", () => {
  const settings = settingsOf({ publicUrl, origins: [partner] });
  const rows: Row[] = [
    // headers, then whether header form, path form and an upgrade may go on
    [{}, true, true, true],
    [{ cookie }, true, false, false],
    [{ cookie, "x-keyway-client": "1" }, true, true, false],
    [{ cookie, origin: "https://app.example" }, true, true, true],
    [{ cookie, origin: "https://APP.example" }, true, true, true],
    [{ cookie, origin: partner }, true, true, true],
    [{ cookie, origin: "https://app.example:444" }, false, false, false],
    [{ cookie, origin: "http://app.example" }, false, false, false],
    [{ cookie, origin: "https://app.example.evil.example" }, false, false, false],
    [{ cookie, origin: "https://evil.example" }, false, false, false],
    [{ cookie, origin: "" }, false, false, false],
    [{ cookie, origin: "null" }, false, false, false],
    [{ origin: "null" }, false, false, false],
    [{ origin: "https://evil.example" }, true, true, false],
    [{ cookie, origin: "http://localhost:3000", host: "localhost:3000" }, false, false, false],
    [{ cookie, "sec-fetch-site": "same-origin" }, true, true, true],
    [{ cookie, "sec-fetch-site": "same-site" }, false, false, false],
    [{ cookie, "sec-fetch-site": "cross-site" }, false, false, false],
    [{ cookie, "sec-fetch-site": "none" }, false, false, false],
    [{ cookie, origin: "https://evil.example", "sec-fetch-site": "same-origin" }, false, false, false],
    [{ "sec-fetch-mode": "navigate" }, true, false, true],
    [{ "sec-fetch-mode": "no-cors" }, true, false, true],
    [{ "sec-fetch-mode": "cors" }, true, true, true],
    [{ cookie, origin: "https://app.example", "sec-fetch-mode": "navigate" }, true, false, true],
  ];
  it.each(rows)("%j: header form %s, path form %s, socket %s", (headers, header, path, socket) => {
    const verdicts = [
      () => checkOrigin(headOf(headers), "header", settings),
      () => checkOrigin(headOf(headers), "path", settings),
      () => checkOrigin(headOf(headers, true), "path", settings),
    ];
    for (const [index, allowed] of [header, path, socket].entries()) {
      const verdict = verdicts[index] ?? (() => undefined);
      if (allowed) expect(verdict).not.toThrow();
      else
        expect(verdict).toThrow(expect.objectContaining({ status: 403, code: expect.stringMatching(/^forbidden_/) }));
    }
  });
  it("an origin that was sent twice is refused", () => {
    const head = { ...headOf({}), headers: [["origin", partner] as const, ["origin", partner] as const] };
    expect(() => checkOrigin(head, "header", settings)).toThrow(expect.objectContaining({ code: "repeated_header" }));
  });
});

describe("without publicUrl", () => {
  it("production cannot tell its own origin, and says so", () => {
    const settings = settingsOf({ origins: [partner] });
    const own = { cookie, origin: "https://app.example", host: "app.example" };
    expect(() => checkOrigin(headOf(own), "header", settings)).toThrow(
      expect.objectContaining({ code: "public_url_missing", status: 500, log: expect.stringContaining("publicUrl:") }),
    );
    expect(() => checkOrigin(headOf({ cookie, origin: partner }), "header", settings)).not.toThrow();
  });
  it.each([
    ["localhost:3000", "http://localhost:3000", true],
    ["localhost:3000", "https://localhost:3000", true],
    ["LOCALHOST:3000", "http://localhost:3000", true],
    ["shop.localhost", "http://shop.localhost", true],
    ["192.168.1.9:3000", "http://192.168.1.9:3000", true],
    ["[::1]:3000", "http://[::1]:3000", true],
    ["localhost:3000", "http://localhost:3001", false],
    ["localhost:3000", "http://evil.example", false],
  ])("development believes the host %s for %s: %s", (host, origin, allowed) => {
    const verdict = () => checkOrigin(headOf({ cookie, host, origin }), "header", settingsOf({}, false));
    if (allowed) expect(verdict).not.toThrow();
    else expect(verdict).toThrow(expect.objectContaining({ code: "forbidden_origin" }));
  });
  it.each([{ cookie }, {}])("and believes no name that somebody else's DNS can point here, with %j", (shown) => {
    const rebound = { ...shown, host: "rebind.evil.example", origin: "http://rebind.evil.example" };
    const verdict = (options: Partial<KeywayOptions>) => () =>
      checkOrigin(headOf(rebound), "header", settingsOf(options, false));
    expect(verdict({})).toThrow(expect.objectContaining({ code: "public_url_missing" }));
    expect(verdict({ publicUrl })).toThrow(expect.objectContaining({ code: "forbidden_origin" }));
  });
  it("which does not matter to who shows a token of the app's", () => {
    const bearer = { authorization: "Bearer x", host: "staging.example", origin: "https://staging.example" };
    expect(() => checkOrigin(headOf(bearer), "header", settingsOf({}, false))).not.toThrow();
  });
});

it.each([
  ["localhost", true],
  ["a.b.localhost:1", true],
  ["127.1.2.3", true],
  ["10.0.0.1:80", true],
  ["172.16.0.1", true],
  ["172.31.0.1", true],
  ["169.254.1.1", true],
  ["[fd00::1]", true],
  ["[fe80::1]:3000", true],
  ["172.32.0.1", false],
  ["11.0.0.1", false],
  ["127.0.0.1.evil.example", false],
  ["localhost.evil.example", false],
  ["evil-localhost", false],
  ["10.evil.example", false],
  ["[2001:db8::1]", false],
  ["[::1]x", false],
  ["localhost:123456", false],
  ["", false],
])("%s is this machine or a private address: %s", (host, expected) => {
  expect(isPrivateHost(host)).toBe(expected);
});

describe("ownUrl", () => {
  it("is publicUrl where it was stated", () => {
    expect(ownUrl(headOf({ host: "localhost:1" }), "/x", settingsOf({ publicUrl }, false))).toBe(publicUrl);
  });
  it("in development comes from a private host and the mount", () => {
    const settings = settingsOf({}, false);
    expect(ownUrl(headOf({ host: "localhost:3000" }), "/p", settings)).toBe("http://localhost:3000/p");
    expect(ownUrl({ ...headOf({ host: "127.0.0.1" }), secure: true }, "", settings)).toBe("https://127.0.0.1");
    for (const host of ["evil.example", "localhost@evil.example", "localhost/x"]) {
      expect(() => ownUrl(headOf({ host }), "/p", settings)).toThrow(
        expect.objectContaining({ code: "public_url_missing" }),
      );
    }
  });
});

describe("CORS", () => {
  const settings = settingsOf({ origins: [partner], forwardHeaders: ["x-custom"] });
  it("answers a listed origin, and no other", () => {
    const told = new Map(corsHeaders([["origin", partner]], settings));
    expect(told.get("access-control-allow-origin")).toBe(partner);
    expect(told.get("access-control-allow-credentials")).toBe("true");
    expect(told.get("access-control-expose-headers")).toContain("x-fal-request-id");
    for (const headers of [[], [["origin", "https://evil.example"]], [["origin", "null"]]] as HeaderList[]) {
      expect(corsHeaders(headers, settings)).toEqual([]);
    }
    expect(corsHeaders([["origin", partner]], settingsOf({}))).toEqual([]);
  });
  it("a preflight names methods and headers one by one", () => {
    const told = new Map(preflightHeaders(settings));
    expect(told.get("access-control-allow-methods")).toBe("POST, GET, PUT, PATCH, DELETE, HEAD");
    const allowed = told.get("access-control-allow-headers")?.split(", ");
    for (const name of [
      "x-fal-target-url",
      "authorization",
      "idempotency-key",
      "x-keyway-client",
      "x-custom",
      "accept",
    ]) {
      expect(allowed).toContain(name);
    }
    expect(allowed).not.toContain("*");
    expect(allowed).not.toContain("cookie");
  });
});
