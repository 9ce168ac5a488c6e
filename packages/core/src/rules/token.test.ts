import { describe, expect, it } from "vitest";
import { parseCall } from "../call.ts";
import { type EndpointsOption, resolveEndpoints } from "./endpoint.ts";
import { parseTarget } from "./target.ts";
import { checkToken } from "./token.ts";

const call = parseCall(parseTarget("https://rest.fal.ai/tokens/"), "POST", false);
const newer = parseCall(parseTarget("https://rest.fal.ai/tokens/realtime"), "POST", false);

function ask(
  body: unknown,
  endpoints: EndpointsOption = "any",
  standard: "proxied" | "token" = "token",
  which = call,
): unknown {
  const bytes = new TextEncoder().encode(typeof body === "string" ? body : JSON.stringify(body));
  return JSON.parse(new TextDecoder().decode(checkToken(which, bytes, resolveEndpoints(endpoints), standard)));
}

const price = { perCall: 0.01 };

describe("who gets a token", () => {
  const rows: [app: string, endpoints: EndpointsOption, proxied: boolean, token: boolean][] = [
    // By the alias alone, as fal-js and fal_client ask.
    ["lcm", "any", false, true],
    ["lcm", [], false, false],
    ["lcm", ["fal-ai/lcm"], true, true],
    ["lcm", ["fal-ai/lcm/sd15"], false, true],
    ["lcm", { "fal-ai/lcm/sd15": { realtime: "token" } }, true, true],
    ["lcm", ["fal-ai/lcm", "fal-ai/lcm/sd15"], false, true],
    ["lcm", ["fal-ai/lcm/**"], false, true],
    ["lcm", ["fal-ai/*"], false, true],
    ["lcm", ["fal-ai/**"], false, true],
    ["lcm", ["**/lcm"], false, true],
    ["lcm", ["fal-ai/other"], false, false],
    ["lcm", ["lcm/fal-ai"], false, false],
    ["lcm", { "fal-ai/lcm": { realtime: "token" } }, true, true],
    ["lcm", { "fal-ai/**": { realtime: "token" } }, true, true],
    ["lcm", { "fal-ai/lcm": { realtime: "proxied" } }, false, false],
    ["lcm", { "fal-ai/lcm": { realtime: false } }, false, false],
    ["lcm", { "fal-ai/lcm": { price } }, false, false],
    ["lcm", { "fal-ai/lcm": { limits: { caller: { requests: { max: 1, per: "day" } } } } }, false, false],
    ["lcm", { "fal-ai/lcm": { limits: { global: { streams: 1 } }, realtime: "token" } }, true, true],
    ["lcm", { "fal-ai/lcm": { input: () => true } }, false, false],
    ["lcm", { "fal-ai/lcm": { price, realtime: "token" } }, true, true],
    ["lcm", { "fal-ai/lcm": {}, "fal-ai/lcm/pro": { price } }, false, false],
    ["lcm", { "fal-ai/lcm": {}, "me/lcm": { price } }, false, false],
    ["lcm", { "fal-ai/lcm": { realtime: "token" }, "fal-ai/**": { price } }, true, true],
    ["lcm", { "me/lcm": { realtime: "token" }, "fal-ai/**": { price } }, false, false],
    ["lcm", { "me/lcm": { realtime: "token" }, "*/**": { price } }, false, false],
    ["lcm", { "me/lcm": { realtime: "token" }, "**/pro": { price } }, false, false],
    ["lcm", { "me/lcm": { realtime: "token" }, "fal-ai/**": {} }, true, true],
    ["lcm", { "me/lcm": { realtime: "token" }, "fal-ai/other": { price } }, true, true],
    ["wf", { "me/wf": { realtime: "token" }, "workflows/**": { price } }, false, false],
    ["wf", ["workflows/me/wf"], true, true],
    ["lcm", { "fal-ai/lcm": {}, "fal-ai/**": { price } }, false, false],
    // By the whole id, as tokenProvider asks.
    ["fal-ai/lcm", { "fal-ai/lcm": {}, "fal-ai/lcm/pro": { price } }, false, false],
    ["fal-ai/lcm/realtime", { "fal-ai/lcm": {}, "fal-ai/lcm/pro": { price } }, false, false],
    ["fal-ai/lcm", { "fal-ai/lcm": {}, "fal-ai/**": { price } }, false, false],
    ["fal-ai/lcm", { "fal-ai/lcm": {}, "fal-ai/lcm/pro": { price, realtime: "token" } }, true, true],
    ["fal-ai/lcm", { "fal-ai/lcm": { realtime: "token" }, "fal-ai/lcm/pro": { price } }, true, true],
    ["fal-ai/lcm", { "fal-ai/lcm": {}, "fal-ai/other": { price }, "me/**": { price } }, true, true],
    ["fal-ai/lcm", "any", false, true],
    ["fal-ai/lcm", ["fal-ai/lcm"], true, true],
    ["fal-ai/lcm/realtime", ["fal-ai/lcm"], true, true],
    ["fal-ai/lcm/stream", ["fal-ai/lcm"], true, true],
    ["fal-ai/lcm/sd15/realtime", ["fal-ai/lcm/sd15"], true, true],
    ["fal-ai/lcm/sd15/realtime", ["fal-ai/lcm"], false, false],
    ["fal-ai/lcm/other", ["fal-ai/lcm"], false, false],
    ["fal-ai/lcm/realtime", ["fal-ai/**"], false, true],
    ["fal-ai/lcm/realtime", { "fal-ai/lcm": { price } }, false, false],
    ["fal-ai/lcm/realtime", { "fal-ai/lcm": { price }, "fal-ai/**": { realtime: "token" } }, false, false],
    ["fal-ai/lcm/realtime", { "fal-ai/**": { realtime: "token" } }, true, true],
    ["fal-ai/lcm/realtime", { "fal-ai/**": { realtime: "proxied" } }, false, false],
    ["fal-ai/lcm/fast", { "fal-ai/lcm": { price }, "fal-ai/**": { realtime: "token" } }, false, false],
    ["fal-ai/lcm/fast", { "fal-ai/lcm/slow": { price }, "fal-ai/**": { realtime: "token" } }, false, false],
    ["fal-ai/lcm/fast", { "fal-ai/lcm": { price, realtime: "token" }, "fal-ai/**": { realtime: "token" } }, true, true],
    ["fal-ai/lcm/fast", { "fal-ai/lcm/fast": { realtime: "token" }, "fal-ai/lcm": { price } }, true, true],
    ["fal-ai/lcm2/fast", { "fal-ai/lcm": { price }, "fal-ai/**": { realtime: "token" } }, true, true],
    ["workflows/me/wf/x", { "workflows/me/wf": { price }, "workflows/**": { realtime: "token" } }, false, false],
    ["me/lcm/realtime", ["fal-ai/lcm"], false, false],
    ["workflows/me/wf", ["*/**"], false, false],
    ["workflows/me/wf", ["workflows/me/wf"], true, true],
  ];
  it.each(rows)("%s with %j: proxied %s, token %s", (app, endpoints, proxied, token) => {
    for (const [standard, given] of [["proxied", proxied] as const, ["token", token] as const]) {
      const asking = () => ask({ allowed_apps: [app], token_expiration: 120 }, endpoints, standard);
      if (given) expect(asking()).toEqual({ allowed_apps: [app], token_expiration: 120 });
      else expect(asking).toThrow(expect.objectContaining({ code: "token_refused", status: 403 }));
    }
  });
  it("every app that is asked for counts", () => {
    expect(() => ask({ allowed_apps: ["lcm", "other"] }, ["fal-ai/lcm"], "proxied")).toThrow(
      expect.objectContaining({ code: "token_refused", log: expect.stringContaining('"<owner>/other"') }),
    );
    expect(() => ask({ allowed_apps: ["me/app/fast/realtime"] }, ["fal-ai/lcm"], "proxied")).toThrow(
      expect.objectContaining({ log: expect.stringContaining('{ "me/app/fast": { realtime: "token" } }') }),
    );
  });
});

describe("the request goes up written anew", () => {
  it("without anything else in it", () => {
    expect(ask({ allowed_apps: ["a"], token_expiration: 60, scope: "admin", duration: 9999 })).toEqual({
      allowed_apps: ["a"],
      token_expiration: 60,
    });
  });
  it("with a lifetime in the field that the address takes", () => {
    expect(ask({ allowed_apps: ["a"] })).toEqual({ allowed_apps: ["a"], token_expiration: 120 });
    expect(ask({ allowed_apps: ["a/b"], duration: 300 }, "any", "token", newer)).toEqual({
      allowed_apps: ["a/b"],
      duration: 300,
    });
  });
  it("read once: a repeated name counts as JSON.parse reads it", () => {
    expect(ask('{"allowed_apps":["evil"],"allowed_apps":["lcm"]}', ["fal-ai/lcm"])).toMatchObject({
      allowed_apps: ["lcm"],
    });
  });
});

it.each([
  ["{}"],
  ["null"],
  ["[]"],
  ['"lcm"'],
  ['{"allowed_apps":"lcm"}'],
  ['{"allowed_apps":[]}'],
  ['{"allowed_apps":[5]}'],
  ['{"allowed_apps":[["lcm"]]}'],
  ['{"allowed_apps":["a","a","a","a","a","a","a","a","a","a","a"]}'],
  ['{"allowed_apps":["*"]}'],
  ['{"allowed_apps":["fal-ai/*"]}'],
  ['{"allowed_apps":["**"]}'],
  ['{"allowed_apps":[""]}'],
  ['{"allowed_apps":["a//b"]}'],
  ['{"allowed_apps":["a/../b"]}'],
  ['{"allowed_apps":["a/%2e%2e/b"]}'],
  ['{"allowed_apps":["lcm\\n"]}'],
  ['{"allowed_apps":["lcm"],"token_expiration":301}'],
  ['{"allowed_apps":["lcm"],"token_expiration":0}'],
  ['{"allowed_apps":["lcm"],"token_expiration":-1}'],
  ['{"allowed_apps":["lcm"],"token_expiration":1.5}'],
  ['{"allowed_apps":["lcm"],"token_expiration":"60"}'],
  ['{"allowed_apps":["lcm"],"token_expiration":null}'.replace("null", "1e999")],
  ['{"__proto__":{"allowed_apps":["lcm"]}}'],
])("%s is refused with 400", (body) => {
  expect(() => ask(body)).toThrow(expect.objectContaining({ code: "token_refused", status: 400 }));
});

it("what is not JSON is refused", () => {
  expect(() => ask("{")).toThrow(expect.objectContaining({ code: "invalid_json", status: 400 }));
});
