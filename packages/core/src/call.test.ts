import { describe, expect, it } from "vitest";
import { type Kind, appLength, parseCall, renderCall } from "./call.ts";
import { parseTarget, renderPath } from "./rules/target.ts";

const rid = "019e161b-386c-7d33-8e2f-0123456789ab";
const run = "https://fal.run";
const queue = "https://queue.fal.run";
const rest = "https://rest.fal.ai";

type Row = [
  method: string,
  target: string,
  expected: { kind: Kind; endpoint?: string; app?: string; requestId?: string },
];

describe("every request that fal-js 1.10.1 and fal's other clients send", () => {
  const rows: Row[] = [
    ["POST", `${run}/fal-ai/flux/dev`, { kind: "run", endpoint: "fal-ai/flux/dev", app: "fal-ai/flux" }],
    ["GET", `${run}/fal-ai/flux/dev?a=1&b=z+z`, { kind: "run", endpoint: "fal-ai/flux/dev", app: "fal-ai/flux" }],
    ["POST", `${run}/123/myapp`, { kind: "run", endpoint: "123/myapp", app: "123/myapp" }],
    ["POST", `${run}/a/b/`, { kind: "run", endpoint: "a/b", app: "a/b" }],
    [
      "POST",
      `${queue}/fal-ai/flux/dev?fal_webhook=https%3A%2F%2Fh.example%2Fcb%3Fa%3D1`,
      { kind: "submit", endpoint: "fal-ai/flux/dev", app: "fal-ai/flux" },
    ],
    [
      "POST",
      `${queue}/workflows/me/wf/sub`,
      { kind: "submit", endpoint: "workflows/me/wf/sub", app: "workflows/me/wf" },
    ],
    ["POST", `${queue}/comfy/me/wf`, { kind: "submit", endpoint: "comfy/me/wf", app: "comfy/me/wf" }],
    [
      "GET",
      `${queue}/fal-ai/flux/requests/${rid}/status?logs=0`,
      { kind: "status", app: "fal-ai/flux", requestId: rid },
    ],
    [
      "GET",
      `${queue}/workflows/me/wf/requests/${rid}/status?logs=0`,
      { kind: "status", endpoint: "workflows/me/wf", app: "workflows/me/wf", requestId: rid },
    ],
    [
      "GET",
      `${queue}/fal-ai/flux/requests/${rid}/status/stream?logs=1`,
      { kind: "status-stream", app: "fal-ai/flux", requestId: rid },
    ],
    ["GET", `${queue}/fal-ai/flux/requests/${rid}`, { kind: "result", app: "fal-ai/flux", requestId: rid }],
    ["PUT", `${queue}/fal-ai/flux/requests/${rid}/cancel`, { kind: "cancel", app: "fal-ai/flux", requestId: rid }],
    ["POST", `${run}/fal-ai/flux/dev/stream`, { kind: "stream", endpoint: "fal-ai/flux/dev", app: "fal-ai/flux" }],
    ["POST", `${run}/fal-ai/any-llm/stream`, { kind: "stream", endpoint: "fal-ai/any-llm", app: "fal-ai/any-llm" }],
    ["POST", `${rest}/tokens/`, { kind: "token", endpoint: "", app: "" }],
    ["POST", `${rest}/tokens/realtime`, { kind: "token", endpoint: "", app: "" }],
    ["POST", `${rest}/storage/upload/initiate?storage_type=fal-cdn-v3`, { kind: "upload" }],
    ["POST", `${rest}/storage/upload/initiate-multipart?storage_type=fal-cdn-v3`, { kind: "upload" }],
    ["POST", "https://rest.alpha.fal.ai/tokens/", { kind: "token" }],
    ["POST", "https://rest.alpha.fal.ai/storage/upload/initiate", { kind: "upload" }],
    // The Python SDK ends these in a slash; newer documents write the whole endpoint and /response.
    ["GET", `${queue}/fal-ai/flux/requests/${rid}/status/`, { kind: "status", requestId: rid }],
    ["GET", `${queue}/fal-ai/flux/requests/${rid}/`, { kind: "result", requestId: rid }],
    ["GET", `${queue}/fal-ai/flux/requests/${rid}/response`, { kind: "result", requestId: rid }],
    [
      "GET",
      `${queue}/fal-ai/flux/dev/requests/${rid}/status`,
      { kind: "status", endpoint: "fal-ai/flux/dev", app: "fal-ai/flux", requestId: rid },
    ],
    ["HEAD", `${queue}/fal-ai/flux/requests/${rid}`, { kind: "result", requestId: rid }],
  ];
  it.each(rows)("%s %s", (method, raw, expected) => {
    const call = parseCall(parseTarget(raw), method, false);
    expect(call).toMatchObject({ ...expected, method });
    const { target, query, requestId } = call;
    expect(renderCall(call, requestId, query)).toBe(renderPath(target.segments, target.trailingSlash, target.query));
  });
});

describe("WebSocket handshakes", () => {
  const rows: [path: string, endpoint: string][] = [
    ["/fal-ai/fast-lcm-diffusion/realtime?fal_jwt_token=x&max_buffering=2", "fal-ai/fast-lcm-diffusion"],
    ["/fal-ai/lcm/sd15/realtime", "fal-ai/lcm/sd15"],
    ["/fal-ai/lcm/other", "fal-ai/lcm/other"],
    ["/fal-ai/realtime", "fal-ai/realtime"],
    ["/workflows/me/wf/realtime", "workflows/me/wf"],
  ];
  it.each(rows)("%s", (path, endpoint) => {
    expect(parseCall(parseTarget(run + path), "GET", true)).toMatchObject({ kind: "realtime", endpoint });
  });
  it.each([`${queue}/a/b`, `${rest}/tokens/`])("none on %s", (raw) => {
    expect(() => parseCall(parseTarget(raw), "GET", true)).toThrow(expect.objectContaining({ code: "unknown_call" }));
  });
});

describe("what is not in the table is refused by name", () => {
  const rows: [method: string, target: string, code: string][] = [
    ["POST", run, "unknown_call"],
    ["POST", `${run}/`, "unknown_call"],
    ["POST", `${run}/one`, "unknown_call"],
    ["POST", `${run}/workflows/me`, "unknown_call"],
    ["GET", `${run}/a/b/requests/${rid}`, "unknown_call"],
    ["POST", `${queue}/one`, "unknown_call"],
    ["GET", `${queue}/a/b/requests`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/${rid}/logs`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/${rid}/status/stream/x`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/${rid}/__proto__`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/${rid}/constructor`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/${"x".repeat(257)}/status`, "unknown_call"],
    ["GET", `${queue}/a/b/requests/a%20b/status`, "unknown_call"],
    ["POST", `${rest}/tokens`, "unknown_call"],
    ["POST", `${rest}/tokens/realtime/`, "unknown_call"],
    ["POST", `${rest}/storage/upload/initiate/`, "unknown_call"],
    ["POST", `${rest}/storage/upload/complete-multipart`, "unknown_call"],
    ["POST", `${rest}/__proto__`, "unknown_call"],
    ["POST", `${rest}/hasOwnProperty`, "unknown_call"],
    ["GET", `${rest}/.well-known/jwks.json`, "unknown_call"],
    ["GET", `${rest}/billing`, "unknown_call"],
  ];
  it.each(rows)("%s %s", (method, raw, code) => {
    expect(() => parseCall(parseTarget(raw), method, false)).toThrow(expect.objectContaining({ code }));
  });
});

describe("methods", () => {
  const wrong: [kind: string, target: string, refused: string[], allow: string][] = [
    ["submit", `${queue}/a/b`, ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "post", "CONNECT", "FOO"], "POST"],
    ["status", `${queue}/a/b/requests/${rid}/status`, ["POST", "PUT", "DELETE"], "GET, HEAD"],
    ["status-stream", `${queue}/a/b/requests/${rid}/status/stream`, ["POST", "HEAD"], "GET"],
    ["result", `${queue}/a/b/requests/${rid}`, ["POST", "PUT", "DELETE", "PATCH"], "GET, HEAD"],
    ["cancel", `${queue}/a/b/requests/${rid}/cancel`, ["GET", "POST", "DELETE", "HEAD"], "PUT"],
    ["token", `${rest}/tokens/`, ["GET", "PUT", "HEAD"], "POST"],
    ["upload", `${rest}/storage/upload/initiate`, ["GET", "PUT"], "POST"],
    ["run", `${run}/a/b`, ["HEAD", "TRACE", "OPTIONS", "__proto__"], "POST, GET, PUT, PATCH, DELETE"],
  ];
  it.each(wrong.flatMap(([kind, raw, methods, allow]) => methods.map((method) => [kind, raw, method, allow] as const)))(
    "%s %s refuses %s",
    (_kind, raw, method, allow) => {
      expect(() => parseCall(parseTarget(raw), method, false)).toThrow(
        expect.objectContaining({ code: "method_refused", status: 405, headers: [["allow", allow]] }),
      );
    },
  );
});

describe("rendering", () => {
  it("puts fal's own id in the caller's place and nowhere else", () => {
    const call = parseCall(parseTarget(`${queue}/requests/requests/requests/sealed.mac/status/?logs=1`), "GET", false);
    expect(call).toMatchObject({ app: "requests/requests", requestId: "sealed.mac" });
    expect(renderCall(call, "own", "logs=1")).toBe("/requests/requests/requests/own/status/?logs=1");
  });
  it("counts the namespace to the app", () => {
    expect([["a", "b"], ["workflows", "a"], ["comfy", "a"], ["__proto__"], []].map(appLength)).toEqual([2, 3, 3, 2, 2]);
  });
});
