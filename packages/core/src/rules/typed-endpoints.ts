import type { EndpointRule } from "./endpoint.ts";
import type { Input as AnyInput, InputContext, StandardSchema } from "./input.ts";
import type { PriceOption } from "./price.ts";

type InputOf<Types, Pattern> = Pattern extends keyof Types
  ? Types[Pattern] extends { readonly input: infer Input }
    ? Input
    : AnyInput
  : AnyInput;

/** A rule whose functions know the endpoint's input, as callers should send it: whoever calls may send anything. */
export interface TypedRule<Input> extends Omit<EndpointRule, "input" | "price"> {
  readonly input?: StandardSchema | ((input: Input, context: InputContext) => unknown);
  readonly price?:
    | Exclude<PriceOption, (...given: never) => unknown>
    | ((input: Input, context: { readonly endpoint: string }) => number | Promise<number>);
}

/** The official client's endpoint ids lead to typed rules; for patterns it is any JSON object. */
export type TypedEndpoints<Types, Pattern extends string> = {
  readonly [Name in Pattern]: TypedRule<InputOf<Types, Name>>;
};

/**
 * Types the rules of `endpoints` by the official client's endpoint types. Does nothing at run time: the types are what callers ought
 * to send, and only a schema, or a function that looks, makes sure.
 *
 * @example
 * import type { EndpointTypeMap } from "@fal-ai/client/endpoints";
 *
 * createKeyway({
 *   endpoints: typedEndpoints<EndpointTypeMap>()({
 *     "fal-ai/flux/dev": { input: (input) => (input.num_images ?? 1) <= 2 },
 *   }),
 * });
 */
export function typedEndpoints<Types>(): <const Pattern extends string>(
  rules: TypedEndpoints<Types, Pattern>,
) => Readonly<Record<Pattern, EndpointRule>> {
  // To the proxy every input is unknown; which it ought to be is between the rule and the type checker.
  return (rules) => rules as never;
}
