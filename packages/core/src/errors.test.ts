import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { ProxyError, listErrors, retryAfter } from "./errors.ts";

const errors = listErrors();

describe("the table of refusals", () => {
  it.each(errors)("$code: $status", ({ code, status, message }) => {
    expect(new ProxyError(code)).toMatchObject({ code, status, message, name: "ProxyError", headers: [] });
    expect(message).toMatch(/^[A-Zf].*\.$/);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
  });
  it("fal's clients repeat 408, 409, 429, 502, 503 and 504, so only what may be repeated has these", () => {
    const repeated = errors.filter(({ status }) => [408, 409, 429, 502, 503, 504].includes(status));
    expect(repeated.map(({ code }) => code).sort()).toEqual([
      "closing",
      "keys_unavailable",
      "rate_limited",
      "too_many_open",
      "upstream_invalid",
      "upstream_redirect",
      "upstream_timeout",
      "upstream_unreachable",
    ]);
  });
  it("the codes the design names have its statuses", () => {
    const status = new Map(errors.map((error) => [error.code, error.status]));
    expect(status.get("ambiguous_target")).toBe(400);
    expect(status.get("budget_exceeded")).toBe(402);
    expect(status.get("paused")).toBe(403);
    expect(status.get("not_found")).toBe(404);
    expect(status.get("upstream_unanswered")).toBe(500);
    expect(status.get("store_unavailable")).toBe(500);
    expect(status.get("store_full")).toBe(500);
  });
});

it("a message may be reworded; cause and log stay out of it", () => {
  const error = new ProxyError("denied", { message: "Not you.", cause: new Error("inner"), log: "why", status: 404 });
  expect(error).toMatchObject({ message: "Not you.", status: 404, log: "why", cause: { message: "inner" } });
  expect(String(error)).toBe("ProxyError: Not you.");
  expect("cause" in new ProxyError("denied")).toBe(false);
  expect(inspect(new ProxyError("denied"))).toContain("denied");
});

it.each([
  [0, "1"],
  [-5, "1"],
  [1, "1"],
  [1000, "1"],
  [1001, "2"],
  [86_400_000, "86400"],
])("Retry-After for %d ms is %s", (ms, seconds) => {
  expect(retryAfter(ms)).toEqual([["retry-after", seconds]]);
});
