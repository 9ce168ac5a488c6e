import { describe, expect, it } from "vitest";
import { parseCall } from "../call.ts";
import { parseJson } from "../json.ts";
import { type InputRule, type StandardSchema, applyInput } from "./input.ts";
import { parseTarget } from "./target.ts";

const call = parseCall(parseTarget("https://fal.run/fal-ai/flux/dev"), "POST", false);

/** What goes upstream, which is what later rules are told of the input. */
async function apply(rule: InputRule, text: string): Promise<string> {
  const parsed = parseJson(new TextEncoder().encode(text));
  const { body, input } = await applyInput(rule, parsed, call, { id: "ada" });
  const sent = new TextDecoder().decode(body);
  expect(JSON.parse(sent)).toEqual(input);
  return sent;
}

function schema(validate: StandardSchema["~standard"]["validate"]): StandardSchema {
  return { "~standard": { version: 1, vendor: "test", validate } };
}

describe("a function", () => {
  it.each<[string, InputRule, string, string]>([
    ["true sends what it saw", () => true, '{"seed":9007199254740993, "x":1.0}', '{"seed":9007199254740993,"x":1.0}'],
    ["a new value is sent", () => ({ a: 1 }), "{}", '{"a":1}'],
    ["a changed copy keeps numbers", (input) => ({ ...Object(input), n: 1 }), '{"s":1.0}', '{"s":1.0,"n":1}'],
    ["a promise is awaited", async () => true, '{"a":[1]}', '{"a":[1]}'],
    ["what it sees is sent once", () => true, '{"a":1,"a":2}', '{"a":2}'],
    ["__proto__ is a name", () => true, '{"__proto__":{"a":1}}', '{"__proto__":{"a":1}}'],
  ])("%s", async (_name, rule, body, expected) => {
    expect(await apply(rule, body)).toBe(expected);
  });
  it("is told endpoint and caller", async () => {
    const seen: unknown[] = [];
    await apply((input, context) => seen.push(input, context) > 0, '{"a":1}');
    expect(seen).toEqual([{ a: 1 }, { endpoint: "fal-ai/flux/dev", caller: { id: "ada" } }]);
  });
  it.each<[string, InputRule, string, string]>([
    ["false", () => false, "{}", "input_refused"],
    ["a rejection", async () => Promise.reject(new Error("no")), "{}", "input_refused"],
    ["undefined", () => undefined, "{}", "input_rule_failed"],
    ["null", () => null, "{}", "input_rule_failed"],
    ["a text", () => "{}", "{}", "input_rule_failed"],
    ["a big integer in it", () => ({ a: 1n }), "{}", "input_rule_failed"],
    ["a circle", cyclic, "{}", "input_rule_failed"],
    ["a body that is no JSON", () => true, "{", "invalid_json"],
    ["an empty body", () => true, "", "invalid_json"],
    ["a list", () => true, "[1]", "input_refused"],
    ["a number", () => true, "7", "input_refused"],
    ["null as the body", () => true, "null", "input_refused"],
  ])("%s is refused", async (_name, rule, body, code) => {
    await expect(apply(rule, body)).rejects.toMatchObject({ code });
  });
  it("refuses with the message of what it throws, cut to a readable length", async () => {
    const rule = (): never => {
      throw new Error("no dogs, please. ".repeat(100));
    };
    await expect(apply(rule, "{}")).rejects.toMatchObject({
      code: "input_refused",
      status: 400,
      message: expect.stringMatching(/^no dogs.{1,493}$/),
    });
  });
});

function cyclic(): object {
  const value: Record<string, unknown> = {};
  value["self"] = value;
  return value;
}

describe("a schema", () => {
  it("sends its output, with the spelling of numbers that stayed", async () => {
    const rule = schema((value) => ({ value: { ...Object(value), added: true } }));
    expect(await apply(rule, '{"seed":12345678901234567890}')).toBe('{"seed":12345678901234567890,"added":true}');
  });
  it("names what is wrong and where", async () => {
    const rule = schema(async () => ({
      issues: [{ message: "too big", path: ["size", { key: "width" }, 0] }, { message: "odd" }],
    }));
    await expect(apply(rule, "{}")).rejects.toMatchObject({
      code: "input_refused",
      message: "The input is not allowed: size.width.0: too big; odd.",
    });
  });
  it.each<[string, StandardSchema]>([
    ["throws", schema(() => breakDown())],
    ["rejects", schema(async () => Promise.reject(new Error("broken")))],
    ["gives undefined", schema(() => ({ value: undefined }))],
    ["gives a function", schema(() => ({ value: () => 1 }))],
  ])("that %s is our fault", async (_name, rule) => {
    await expect(apply(rule, "{}")).rejects.toMatchObject({ code: "input_rule_failed", status: 500 });
  });
});

function breakDown(): never {
  throw new Error("broken");
}
