import { describe, expect, it } from "vitest";
import { parseCall } from "../call.ts";
import type { HeaderList } from "../head.ts";
import { checkBodyHeaders, takesBody } from "./body.ts";
import { parseTarget } from "./target.ts";

const run = parseCall(parseTarget("https://fal.run/a/b"), "POST", false);
const get = parseCall(parseTarget("https://fal.run/a/b"), "GET", false);
const cancel = parseCall(parseTarget("https://queue.fal.run/a/b/requests/x/cancel"), "PUT", false);

describe("accepts", () => {
  const rows: HeaderList[] = [
    [["content-type", "application/json"]],
    [["content-type", "Application/JSON; charset=utf-8"]],
    [["content-type", "application/json \t;x"]],
    [
      ["content-type", "application/json"],
      ["content-length", "100"],
    ],
    [
      ["content-type", "application/json"],
      ["content-length", "5"],
      ["content-encoding", "Identity"],
    ],
  ];
  it.each(rows.map((headers) => [headers]))("%j", (headers) => {
    expect(() => checkBodyHeaders(run, headers, 100)).not.toThrow();
  });
});

describe("refuses", () => {
  const json = ["content-type", "application/json"] as const;
  const rows: [headers: HeaderList, code: string][] = [
    [[], "unsupported_media_type"],
    [[["content-type", "text/plain"]], "unsupported_media_type"],
    [[["content-type", "text/plain; application/json"]], "unsupported_media_type"],
    [[["content-type", "TEXT/PLAIN\t;application/json"]], "unsupported_media_type"],
    [[["content-type", "application/json, text/plain"]], "unsupported_media_type"],
    [[["content-type", "application/jsonp"]], "unsupported_media_type"],
    [[["content-type", "multipart/form-data; boundary=x"]], "unsupported_media_type"],
    [[json, json], "repeated_header"],
    [[json, ["content-length", "1"], ["content-length", "2"]], "repeated_header"],
    [[json, ["content-length", "3"], ["content-encoding", "gzip"]], "unsupported_content_encoding"],
    [[json, ["transfer-encoding", "chunked"], ["content-encoding", "br"]], "unsupported_content_encoding"],
    [[json, ["content-length", "101"]], "body_too_large"],
  ];
  it.each(rows)("%j → %s", (headers, code) => {
    expect(() => checkBodyHeaders(run, headers, 100)).toThrow(expect.objectContaining({ code }));
  });
});

it("a call without a body may say so, but brings none", () => {
  for (const call of [get, cancel]) {
    expect(takesBody(call)).toBe(false);
    expect(() => checkBodyHeaders(call, [["content-type", "application/json"]], 1)).not.toThrow();
    expect(() => checkBodyHeaders(call, [["content-length", "0"]], 1)).not.toThrow();
    expect(() => checkBodyHeaders(call, [["content-length", "2"]], 1)).toThrow(
      expect.objectContaining({ code: "unexpected_body", status: 400 }),
    );
  }
});
