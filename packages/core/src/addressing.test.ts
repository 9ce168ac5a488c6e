import { describe, expect, it } from "vitest";
import { isPathForm, readAddress, targetOf } from "./addressing.ts";
import type { Head } from "./head.ts";

const target = "https://fal.run/a/b?x=1";

function headOf(change: Partial<Head>): Head {
  return {
    method: "POST",
    path: "/api/fal/proxy",
    query: null,
    mount: undefined,
    headers: [],
    address: undefined,
    secure: false,
    upgrade: false,
    ...change,
  };
}

/** How the caller named the target, and what it is. */
function read(head: Partial<Head>) {
  const address = readAddress(headOf(head));
  return address.form === "own" ? address : { ...address, target: targetOf(address) };
}

const withTarget: Head["headers"] = [["x-fal-target-url", target]];

describe("header form", () => {
  it.each([
    ["/api/fal/proxy", undefined, "/api/fal/proxy"],
    ["/api/fal/proxy/", undefined, "/api/fal/proxy"],
    ["/", undefined, ""],
    ["/api/fal/proxy/", "/api/fal/proxy", "/api/fal/proxy"],
    ["/", "", ""],
  ])("%s with mount %s", (path, mount, expected) => {
    expect(read({ path, mount, headers: withTarget })).toMatchObject({
      form: "header",
      mount: expected,
      target: { host: "fal.run", segments: ["a", "b"], query: "x=1" },
    });
  });
});

describe("path form", () => {
  it.each([
    ["/api/fal/proxy/fal.run/a/b", null, undefined, "/api/fal/proxy", null],
    ["/fal.run/a/b", "x=1", undefined, "", "x=1"],
    ["/api/fal/proxy/fal.run/a/b", "", "/api/fal/proxy", "/api/fal/proxy", ""],
    ["/API/fal/proxy/fal.run/a/b", null, "/api/fal/proxy", "/api/fal/proxy", null],
    ["/x/fal.run/fal.run/queue.fal.run", null, undefined, "/x", null],
  ])("%s?%s with mount %s", (path, query, mount, expected, kept) => {
    const address = read({ path, query, mount });
    expect(address).toMatchObject({ form: "path", mount: expected, target: { host: "fal.run", query: kept } });
  });
  it("keeps own routes apart", () => {
    expect(readAddress(headOf({ path: "/p/~keyway/usage" }))).toEqual({ form: "own", mount: "/p", route: "/usage" });
    expect(readAddress(headOf({ path: "/~keyway", mount: "" }))).toEqual({ form: "own", mount: "", route: "" });
  });
});

describe("refusals", () => {
  const rows: [name: string, head: Partial<Head>, code: string][] = [
    ["no target", {}, "missing_target"],
    ["a path that names no fal host", { path: "/api/fal/proxy/example.com/a" }, "missing_target"],
    ["a host that does not follow the mount", { path: "/p/x/fal.run/a/b", mount: "/p" }, "missing_target"],
    ["an upper-case host", { path: "/p/FAL.RUN/a/b" }, "missing_target"],
    ["an encoded host", { path: "/p/fal%2erun/a/b" }, "missing_target"],
    ["both forms", { path: "/p/fal.run/a/b", headers: withTarget }, "ambiguous_target"],
    ["an own route with a target", { path: "/p/~keyway/usage", headers: withTarget }, "ambiguous_target"],
    ["two targets", { headers: [...withTarget, ...withTarget] }, "ambiguous_target"],
    ["a query beside the header", { query: "a=1", headers: withTarget }, "ambiguous_target"],
    ["an empty query beside the header", { query: "", headers: withTarget }, "ambiguous_target"],
    ["a header on an upgrade", { upgrade: true, headers: withTarget }, "ambiguous_target"],
    ["an empty header", { headers: [["x-fal-target-url", ""]] }, "target_refused"],
    ["two targets that the host joined", { headers: [["x-fal-target-url", `${target}, ${target}`]] }, "target_refused"],
    ["HTTP over WebSocket", { path: "/p/ws.fal.run/a/b" }, "unsupported_call"],
    ["WebRTC signalling", { headers: [["x-fal-target-url", "https://wma.fal.run/ice"]] }, "unsupported_call"],
  ];
  it.each(rows)("%s", (_name, head, code) => {
    expect(() => read(head)).toThrow(expect.objectContaining({ code, status: 400 }));
  });
});

it.each([
  ["/api/fal/proxy/fal.run/a/b", undefined, true],
  ["/api/fal/proxy/fal.run/a/b", "/api/fal/proxy", true],
  ["/proxy/fal.run/a/b", "/api/fal/proxy", true],
  ["/fal.run/a/b", "/api/fal/proxy", true],
  ["/roxy/fal.run/a/b", "/api/fal/proxy", false],
  ["/other/fal.run/a/b", "/api/fal/proxy", false],
  ["/p/~keyway/x", undefined, true],
  ["/p/ws.fal.run/a/b", undefined, true],
  ["/socket.io/", undefined, false],
  ["/", undefined, false],
])("upgrades of %s with public path %s: %s", (path, publicPath, expected) => {
  expect(isPathForm(path, publicPath)).toBe(expected);
});
