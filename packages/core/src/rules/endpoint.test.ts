import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCall } from "../call.ts";
import { coversApp, findEndpoint, matchSegments, resolveEndpoints } from "./endpoint.ts";
import { parseTarget } from "./target.ts";

const rid = "019e161b-386c-7d33-8e2f-0123456789ab";

function matches(pattern: string, name: string): boolean {
  return matchSegments(pattern.split("/"), name.split("/"));
}

/** The definition, word by word: `*` one segment, `**` any number, a namespace only by name. */
function reference(pattern: readonly string[], names: readonly string[]): boolean {
  if ((names[0] === "workflows" || names[0] === "comfy") && pattern[0] !== names[0]) return false;
  return definition(pattern, names);
}

function definition([wanted, ...others]: readonly string[], names: readonly string[]): boolean {
  if (wanted === undefined) return names.length === 0;
  if (wanted === "**") return [...names, ""].some((_name, skip) => definition(others, names.slice(skip)));
  return names.length > 0 && (wanted === "*" || wanted === names[0]) && definition(others, names.slice(1));
}

it.each([
  ["fal-ai/flux", "fal-ai/flux", true],
  ["fal-ai/flux", "fal-ai/flux/dev", false],
  ["fal-ai/flux", "fal-ai/flux-pro", false],
  ["fal-ai/flux/**", "fal-ai/flux", true],
  ["fal-ai/flux/**", "fal-ai/flux/dev", true],
  ["fal-ai/flux/**", "fal-ai/flux/dev/x/y", true],
  ["fal-ai/flux/**", "fal-ai/fluxx/dev", false],
  ["fal-ai/*", "fal-ai/flux", true],
  ["fal-ai/*", "fal-ai/flux/dev", false],
  ["fal-ai/*/dev", "fal-ai/flux/dev", true],
  ["fal-ai/**/dev", "fal-ai/dev", true],
  ["fal-ai/**/dev", "fal-ai/a/b/dev", true],
  ["fal-ai/**/dev/**/x", "fal-ai/dev/dev/y/x", true],
  ["*/**", "fal-ai/flux/dev", true],
  ["*/**", "workflows/me/wf", false],
  ["**", "comfy/me/wf", false],
  ["workflows/me/*", "workflows/me/wf", true],
  ["comfy/**", "comfy/me/wf/x", true],
  ["fal-ai/flux", "FAL-AI/flux", false],
  ["__proto__/x", "__proto__/x", true],
])("%s and %s: %s", (pattern, name, expected) => {
  expect(matches(pattern, name)).toBe(expected);
});

const segment = fc.constantFrom("a", "b", "ab", "workflows", "comfy", "__proto__");
const names = fc.array(segment, { minLength: 1, maxLength: 6 });
const patterns = fc.array(fc.oneof(segment, fc.constantFrom("*", "**")), { minLength: 1, maxLength: 6 });

describe("for any pattern", () => {
  it("matching is what the definition says", () => {
    fc.assert(
      fc.property(patterns, names, (pattern, given) => {
        expect(matchSegments(pattern, given)).toBe(reference(pattern, given));
      }),
      { numRuns: 3000 },
    );
  });
  it("an app is covered when some endpoint of it could match", () => {
    const tails = [[], ["a"], ["b"], ["a", "b"], ["ab", "a", "b"], ["workflows"], ["comfy"], ["__proto__"]];
    const apps = fc.tuple(segment, segment).filter(([owner]) => owner !== "workflows" && owner !== "comfy");
    fc.assert(
      fc.property(patterns, apps, (pattern, app) => {
        const [endpoint] = resolveEndpoints(["x/y"]);
        const some = tails.some((tail) => reference(pattern, [...app, ...tail]));
        if (endpoint !== undefined && some) {
          expect(coversApp({ ...endpoint, segments: pattern }, app.join("/"))).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

it("no pattern is slow", () => {
  const before = process.cpuUsage();
  const pattern = Array.from({ length: 64 }, () => ["**", "a"]).flat();
  expect(
    matchSegments(
      [...pattern, "b"],
      Array.from({ length: 4000 }, () => "a"),
    ),
  ).toBe(false);
  expect(process.cpuUsage(before).user / 1000).toBeLessThan(500);
});

describe("findEndpoint", () => {
  const callOf = (method: string, url: string, upgrade = false) => parseCall(parseTarget(url), method, upgrade);
  const run = callOf("POST", "https://fal.run/fal-ai/flux/dev");
  const rule = { price: { perCall: 1 } };

  it("takes the first match in written order", () => {
    const endpoints = resolveEndpoints({ "fal-ai/*/dev": rule, "fal-ai/flux/**": {}, "*/**": rule });
    expect(findEndpoint(run, endpoints).pattern).toBe("fal-ai/*/dev");
    expect(findEndpoint(callOf("POST", "https://fal.run/fal-ai/flux/pro"), endpoints).pattern).toBe("fal-ai/flux/**");
  });
  it("an empty list allows nothing", () => {
    for (const empty of [[], {}]) {
      expect(() => findEndpoint(run, resolveEndpoints(empty))).toThrow(
        expect.objectContaining({ code: "endpoint_refused", status: 403 }),
      );
    }
  });
  it("a prototype's names are no rules", () => {
    expect(() => findEndpoint(callOf("POST", "https://fal.run/__proto__/constructor"), resolveEndpoints({}))).toThrow(
      expect.objectContaining({ code: "endpoint_refused" }),
    );
  });
  it('"any" takes everything, namespaces too', () => {
    const any = resolveEndpoints("any");
    for (const id of ["a/b", "a/b/c/d", "workflows/me/wf", "comfy/me/wf/x"]) {
      expect(() => findEndpoint(callOf("POST", `https://fal.run/${id}`), any)).not.toThrow();
    }
  });
  it("a stream is found by its endpoint or by its whole path", () => {
    const stream = callOf("POST", "https://fal.run/fal-ai/flux/dev/stream");
    expect(findEndpoint(stream, resolveEndpoints(["fal-ai/flux/dev"])).pattern).toBe("fal-ai/flux/dev");
    expect(findEndpoint(stream, resolveEndpoints(["fal-ai/flux/dev/stream"])).pattern).toBe("fal-ai/flux/dev/stream");
  });
  it("a stream does not lead around the endpoint's rule", () => {
    const stream = callOf("POST", "https://fal.run/fal-ai/flux/dev/stream");
    expect(findEndpoint(stream, resolveEndpoints({ "fal-ai/flux/dev": rule, "fal-ai/**": {} })).price).toBeDefined();
  });
  it.each([
    ["fal-ai/flux/dev", true],
    ["fal-ai/flux/**", true],
    ["fal-ai/*/dev", true],
    ["**/dev", true],
    ["fal-ai/other/dev", false],
    ["workflows/fal-ai/flux", false],
  ])("a job of fal-ai/flux is reached through %s: %s", (pattern, expected) => {
    const status = callOf("GET", `https://queue.fal.run/fal-ai/flux/requests/${rid}/status`);
    const find = () => findEndpoint(status, resolveEndpoints([pattern]));
    if (expected) expect(find).not.toThrow();
    else expect(find).toThrow(expect.objectContaining({ code: "endpoint_refused" }));
  });
  it("methods other than POST only where stated, and never around a rule that reads the body", () => {
    const get = callOf("GET", "https://fal.run/fal-ai/flux/dev");
    const refused = expect.objectContaining({ code: "method_refused", status: 405 });
    expect(() => findEndpoint(get, resolveEndpoints("any"))).toThrow(refused);
    expect(() => findEndpoint(get, resolveEndpoints({ "fal-ai/**": { methods: ["get"] } }))).not.toThrow();
    expect(() => findEndpoint(run, resolveEndpoints({ "fal-ai/**": { methods: ["GET"] } }))).toThrow(refused);
    const both = resolveEndpoints({ "fal-ai/**": { methods: ["GET", "POST"], ...rule } });
    expect(() => findEndpoint(get, both)).toThrow(refused);
    expect(() => resolveEndpoints({ "fal-ai/**": { methods: ["GET"], ...rule } })).toThrow(/let through GET alone/);
  });
  it.each([
    [{}, true],
    [{ realtime: "proxied" }, true],
    [{ realtime: "token" }, true],
    [{ realtime: false }, false],
    [rule, false],
    [{ input: () => true }, false],
    [{ ...rule, realtime: "proxied" }, true],
  ] as const)("a socket under the rule %j: %s", (given, expected) => {
    const socket = callOf("GET", "https://fal.run/fal-ai/lcm/realtime", true);
    const find = () => findEndpoint(socket, resolveEndpoints({ "fal-ai/lcm": given }));
    if (expected) expect(find).not.toThrow();
    else expect(find).toThrow(expect.objectContaining({ code: "realtime_refused", status: 403 }));
  });
});

describe("mistakes show the line to write", () => {
  const rows: [option: unknown, shows: RegExp][] = [
    [undefined, /endpoints: \["fal-ai/],
    ["fal-ai/**", /endpoints: \["fal-ai/],
    [null, /endpoints: \["fal-ai/],
    [5, /endpoints: \["fal-ai/],
    [["**"], /endpoints: "any"/],
    [{ "**": {} }, /endpoints: "any"/],
    [["fal-ai"], /"fal-ai\/\*\*"/],
    [["https://fal.run/fal-ai/flux"], /endpoint id alone/],
    [["fal.run/fal-ai/flux"], /endpoint id alone/],
    [["queue.fal.run/**"], /endpoint id alone/],
    [["fal-ai/../x"], /owner\/alias/],
    [["fal-ai/./x"], /owner\/alias/],
    [["fal-ai//x"], /owner\/alias/],
    [["/fal-ai/x"], /owner\/alias/],
    [["fal-ai/x/"], /owner\/alias/],
    [["fal-ai/+(a|b)*(c|+(d|e))"], /owner\/alias/],
    [["fal-ai/*(*(*(a|b)))"], /owner\/alias/],
    [["fal-ai/{a,b}"], /owner\/alias/],
    [["fal-ai/fl*x"], /owner\/alias/],
    [["fal-ai/***"], /owner\/alias/],
    [["fal-ai/!x"], /owner\/alias/],
    [[5], /is a string/],
    [{ "fal-ai/flux": true }, /is an object/],
    [{ "fal-ai/flux": null }, /is an object/],
    [{ "fal-ai/flux": { prize: 1 } }, /no field prize: it takes input, price, realtime, limits, methods/],
    [{ "fal-ai/flux": { realtime: true } }, /"proxied", "token" or false/],
    [{ "fal-ai/flux": { input: 5 } }, /Standard Schema/],
    [{ "fal-ai/flux": { input: {} } }, /Standard Schema/],
    [{ "fal-ai/flux": { methods: "POST" } }, /\["POST", "GET"\]/],
    [{ "fal-ai/flux": { methods: [] } }, /\["POST", "GET"\]/],
    [{ "fal-ai/flux": { methods: ["TRACE"] } }, /\["POST", "GET"\]/],
    [{ "fal-ai/flux": { price: 5 } }, /perCall: 0\.04/],
    [JSON.parse('{"__proto__": {}}'), /too short/],
  ];
  it.each(rows)("%j", (option, shows) => {
    expect(() => resolveEndpoints(option)).toThrow(
      expect.objectContaining({ code: "invalid_option", message: expect.stringMatching(shows) }),
    );
  });
});
