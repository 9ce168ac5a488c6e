import { type EndpointRule, type InputRule, createKeyway, typedEndpoints } from "@keyway/core";
import type { EndpointTypeMap } from "@fal-ai/client/endpoints";
import { type } from "arktype";
import * as v from "valibot";
import { expect, it } from "vitest";
import { z } from "zod";
import { byName } from "../conformance/stage.ts";

// Most of this file is tested by tsc: each expected error must be one.

const endpoints = typedEndpoints<EndpointTypeMap>()({
  "fal-ai/flux/dev": {
    input(input, { endpoint, caller }) {
      const images: number | undefined = input.num_images;
      // @ts-expect-error the client's type has no such field
      void input.number_of_images;
      // @ts-expect-error a prompt is a text
      const wrong: number = input.prompt;
      void wrong;
      const names: string = endpoint + caller.id;
      return names !== "" && (images ?? 1) <= 2;
    },
    price: (input) => 0.025 * (input.num_images ?? 1),
  },
  "fal-ai/flux/schnell": { input: z.object({ prompt: z.string() }), price: { perCall: 0.003 } },
  "me/own-app": {
    input(input) {
      // @ts-expect-error what the client does not know may be anything
      const prompt: string = input.prompt;
      return prompt !== "";
    },
  },
  "fal-ai/**": {
    // @ts-expect-error what a pattern matches may hold anything
    input: (input) => input.prompt.length > 0,
    price: { perUnit: 0.01 },
  },
});

export const wrongPrice = typedEndpoints<EndpointTypeMap>()({
  // @ts-expect-error a price function answers dollars
  "fal-ai/flux/dev": { price: () => "free" },
});

export const wrongField = typedEndpoints<EndpointTypeMap>()({
  // @ts-expect-error there is no field limit
  "fal-ai/flux/dev": { limit: 3 },
});

it("is what endpoints takes, and changes nothing", () => {
  const rules: Readonly<Record<string, EndpointRule>> = endpoints;
  expect(Object.keys(rules)).toEqual(["fal-ai/flux/dev", "fal-ai/flux/schnell", "me/own-app", "fal-ai/**"]);
  const keyway = createKeyway({ authorize: byName, endpoints, apiKey: "id:0123456789abcdef" });
  expect(keyway.check().map(({ option }) => option)).toContain("limits.global.budget");
});

/** The three libraries' schemas are rules without a cast. */
export const schemas: InputRule[] = [
  z.object({ prompt: z.string() }),
  v.object({ prompt: v.string() }),
  type({ prompt: "string" }),
];
