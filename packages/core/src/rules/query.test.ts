import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Call, parseCall } from "../call.ts";
import { checkQuery } from "./query.ts";
import { parseTarget } from "./target.ts";

const rid = "019e161b-386c-7d33-8e2f-0123456789ab";
const calls: Record<string, [method: string, url: string]> = {
  run: ["POST", "https://fal.run/a/b"],
  stream: ["POST", "https://fal.run/a/b/stream"],
  realtime: ["GET", "https://fal.run/a/b/realtime"],
  submit: ["POST", "https://queue.fal.run/a/b"],
  status: ["GET", `https://queue.fal.run/a/b/requests/${rid}/status`],
  "status-stream": ["GET", `https://queue.fal.run/a/b/requests/${rid}/status/stream`],
  result: ["GET", `https://queue.fal.run/a/b/requests/${rid}`],
  cancel: ["PUT", `https://queue.fal.run/a/b/requests/${rid}/cancel`],
  token: ["POST", "https://rest.fal.ai/tokens/"],
  upload: ["POST", "https://rest.fal.ai/storage/upload/initiate"],
};

function callOf(kind: string, query: string): Call {
  const [method, url] = calls[kind] ?? ["", ""];
  return parseCall(parseTarget(`${url}?${query}`), method, kind === "realtime");
}

describe("passes byte for byte", () => {
  it.each([
    ["run", "a=1&b=z+z&c=%7B%22x%22%3A1%7D", false],
    ["run", "", true],
    ["run", "falsy=1&xfal_webhook=2", false],
    ["stream", "a=1", false],
    ["realtime", "max_buffering=2&x=%20", false],
    ["realtime", "max_buffering=2", true],
    ["submit", "fal_max_queue_length=3", true],
    ["status", "logs=1", false],
    ["status", "logs=true", true],
    ["status-stream", "logs=0", false],
    ["upload", "storage_type=fal-cdn-v3", false],
  ])("%s ?%s", (kind, query, hasRule) => {
    expect(checkQuery(callOf(kind, query), hasRule)).toBe(query);
  });
  it("nothing is nothing", () => {
    expect(checkQuery(parseCall(parseTarget("https://fal.run/a/b"), "POST", false), true)).toBeNull();
  });
});

describe("refuses", () => {
  it.each([
    ["run", "fal_anything=1", false],
    ["run", "a=1&fal_jwt_token=x", false],
    ["stream", "fal_x", false],
    ["run", "a=1", true],
    ["stream", "a=1", true],
    ["realtime", "fal_x=1", false],
    ["realtime", "a=1", true],
    ["submit", "a=1", false],
    ["submit", "fal_max_queue_length=1&fal_max_queue_length=2", false],
    ["submit", "fal_request_timeout=1", false],
    ["status", "logs=1&x=2", false],
    ["status", "logs=1&logs=0", false],
    ["status", "fal_jwt_token=x", false],
    ["result", "logs=1", false],
    ["cancel", "a", false],
    ["token", "a=1", false],
    ["upload", "storage_type=gcs", false],
    ["upload", "storage_type=fal-cdn-v3&x=1", false],
  ])("%s ?%s (rule: %s)", (kind, query, hasRule) => {
    expect(() => checkQuery(callOf(kind, query), hasRule)).toThrow(
      expect.objectContaining({ code: "query_refused", status: 400 }),
    );
  });
});

it.each([
  ["fal_jwt_token=x", null],
  ["fal_jwt_token=x&max_buffering=2", "max_buffering=2"],
  ["a=%20&fal%5Fjwt_token=x&FAL_JWT_TOKEN=y&b=1", "a=%20&b=1"],
])("a token that a caller brings to a socket stays here: %s", (query, expected) => {
  expect(checkQuery(callOf("realtime", query), false)).toBe(expected);
});

describe("a caller chooses no webhook, however it is spelled", () => {
  const spellings = [
    "fal_webhook=https%3A%2F%2Fevil.example",
    "fal_webhook",
    "FAL_WEBHOOK=x",
    "fal%5Fwebhook=x",
    "%66al_webhook=x",
    "+fal_webhook=x",
    "fal_webhook+=x",
    "%20fal_webhook%09=x",
    "%00fal_webhook=x",
    "fal_webhook%00=x",
    "a;fal_webhook=x",
    "a=1&amp;fal_webhook=x",
    "%E2%80%8Bfal_webhook=x",
    "&&fal_webhook=x",
    "fal_max_queue_length=1&fal_webhook=x",
  ];
  const kinds = Object.keys(calls);
  it.each(spellings.flatMap((query) => kinds.map((kind) => [kind, query] as const)))("%s ?%s", (kind, query) => {
    expect(() => checkQuery(callOf(kind, query), false)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(?:webhook|query)_refused$/), status: 400 }),
    );
  });
  it("and any letter may be percent-encoded", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 11, maxLength: 11 }), (encoded) => {
        const letters = "fal_webhook"
          .split("")
          .map((letter, index) =>
            encoded[index] === true ? `%${letter.charCodeAt(0).toString(16).toUpperCase()}` : letter,
          );
        expect(() => checkQuery(callOf("submit", `${letters.join("")}=x`), false)).toThrow(
          expect.objectContaining({ code: "webhook_refused" }),
        );
      }),
    );
  });
});
