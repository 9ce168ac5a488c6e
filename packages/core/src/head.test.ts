import { describe, expect, it } from "vitest";
import { announcesBody, cookieOf, countOf, listsToken, valueOf } from "./head.ts";

it.each([
  ["a=1", "a", "1"],
  ["a=1; b=2", "b", "2"],
  ["a=1;b=2", "b", "2"],
  ["a=x%20y", "a", "x y"],
  ["a=%zz", "a", "%zz"],
  ['a="q q"', "a", "q q"],
  ['a="', "a", '"'],
  ["a=b=c", "a", "b=c"],
  ["a=", "a", ""],
  ["ab=1", "a", undefined],
  ["=1", "", undefined],
  ["a", "a", undefined],
  ["__proto__=1", "__proto__", "1"],
  ["", "constructor", undefined],
  ["a=first; a=second", "a", "first"],
])("cookie %j has %s = %j", (cookie, name, expected) => {
  expect(cookieOf([["cookie", cookie]], name)).toBe(expected);
});

it("looks through every cookie line", () => {
  expect(
    cookieOf(
      [
        ["cookie", "a=1"],
        ["cookie", "b=2"],
      ],
      "b",
    ),
  ).toBe("2");
});

describe("lists", () => {
  const headers = [
    ["connection", "keep-alive, Upgrade"],
    ["connection", "close"],
    ["x", "1"],
  ] as const;
  it("finds tokens in every line, in any case", () => {
    expect(["upgrade", "close", "keep", "1"].map((token) => listsToken(headers, "connection", token))).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });
  it("counts lines and reads the first", () => {
    expect([
      countOf(headers, "connection"),
      countOf(headers, "y"),
      valueOf(headers, "connection"),
      valueOf(headers, "y"),
    ]).toEqual([2, 0, "keep-alive, Upgrade", undefined]);
  });
});

it.each([
  [[], false],
  [[["content-length", "0"]], false],
  [[["content-length", "3"]], true],
  [[["transfer-encoding", "chunked"]], true],
] as const)("%j announces a body: %s", (headers, expected) => {
  expect(announcesBody(headers)).toBe(expected);
});
