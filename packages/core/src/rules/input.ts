import type { Call } from "../call.ts";
import { ProxyError } from "../errors.ts";
import { type Parsed, writeJson } from "../json.ts";

/** The part of Standard Schema v1 that Keyway uses; zod, valibot and arktype schemas have it. */
export interface StandardSchema {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    validate(value: unknown): StandardResult | Promise<StandardResult>;
  };
}

type StandardResult =
  | { readonly value: unknown; readonly issues?: undefined }
  | {
      readonly issues: ReadonlyArray<{
        readonly message: string;
        readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
      }>;
    };

/** What an input function is told beside the input. */
export interface InputContext {
  readonly endpoint: string;
  readonly caller: { readonly id: string };
}

/** A model's input: a JSON object (fal docs, model APIs). What is in it, whoever calls has written. */
export type Input = Readonly<Record<string, unknown>>;

/**
 * Looks at an input before it may cost anything. A schema's output goes upstream. A function returns the input to send, `true` for
 * as it is, or `false` to refuse; an error that it throws refuses with the error's message. What is no object is refused before it.
 */
export type InputRule = StandardSchema | ((input: Input, context: InputContext) => unknown);

/** Throws `input_refused` where a body is JSON and no object. */
export function checkInput(value: unknown): asserts value is Input {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ProxyError("input_refused", { message: "The input must be a JSON object." });
}

/** What goes upstream: always what the rule saw, written anew, so that no second reading of the bytes is possible. */
export async function applyInput(
  rule: InputRule,
  parsed: Parsed,
  call: Call,
  caller: { id: string },
): Promise<{ body: Uint8Array; input: unknown }> {
  const context = { endpoint: call.endpoint, caller: { id: caller.id } };
  // A schema first: those of arktype can be called too, and answer their own errors as a value.
  const input = isSchema(rule) ? await askSchema(rule, parsed.value) : await askFunction(rule, parsed.value, context);
  try {
    return { body: writeJson(input, parsed.spellings), input };
  } catch (cause) {
    throw new ProxyError("input_rule_failed", {
      cause,
      log: `the input rule of ${call.endpoint} returned what JSON cannot hold`,
    });
  }
}

function isSchema(rule: InputRule): rule is StandardSchema {
  return "~standard" in rule;
}

async function askFunction(
  rule: Exclude<InputRule, StandardSchema>,
  input: unknown,
  context: InputContext,
): Promise<unknown> {
  checkInput(input);
  let answer: unknown;
  try {
    answer = await rule(input, context);
  } catch (cause) {
    const message = cause instanceof Error && cause.message !== "" ? cause.message.slice(0, 500) : undefined;
    throw new ProxyError("input_refused", message === undefined ? { cause } : { message, cause });
  }
  if (answer === true) return input;
  if (answer === false) throw new ProxyError("input_refused");
  if (typeof answer === "object" && answer !== null) return answer;
  throw new ProxyError("input_rule_failed", {
    log: `the input rule of ${context.endpoint} returned ${answer === null ? "null" : typeof answer}: return the input, true, or false`,
  });
}

async function askSchema(rule: StandardSchema, input: unknown): Promise<unknown> {
  let result: StandardResult;
  try {
    result = await rule["~standard"].validate(input);
  } catch (cause) {
    throw new ProxyError("input_rule_failed", { cause, log: "an input schema threw" });
  }
  if (result.issues === undefined) return result.value;
  const issues = result.issues.slice(0, 5).map(({ message, path }) => {
    const place = (path ?? []).map((part) => String(typeof part === "object" ? part.key : part)).join(".");
    return place === "" ? message : `${place}: ${message}`;
  });
  throw new ProxyError("input_refused", { message: `The input is not allowed: ${issues.join("; ").slice(0, 500)}.` });
}
