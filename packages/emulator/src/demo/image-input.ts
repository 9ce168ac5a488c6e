import { reply, type Reply } from "../reply.ts";
import { validationError, type Issue } from "../errors.ts";
import { numberOf, textOf, toFields, type Fields } from "../fields.ts";
import { toSeed } from "./random.ts";

/** What the picture demos understand of an input. */
export interface ImageInput {
  readonly prompt: string;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly count: number;
}

/** The named sizes of fal's image models, in pixels. */
const sizes: ReadonlyMap<string, readonly [width: number, height: number]> = new Map([
  ["square_hd", [1024, 1024]],
  ["square", [512, 512]],
  ["portrait_4_3", [768, 1024]],
  ["portrait_16_9", [576, 1024]],
  ["landscape_4_3", [1024, 768]],
  ["landscape_16_9", [1024, 576]],
]);

const leastEdge = 16;
const greatestEdge = 1536;
const mostImages = 4;

/** Reads the input as fal's image models do; throws the 422 of a wrong one. */
export function toImageInput(input: unknown, edge = 512): ImageInput {
  const fields = toFields(input);
  const prompt = textOf(fields, "prompt");
  if (prompt === undefined) throw invalid({ loc: ["body", "prompt"], msg: "Field required", type: "missing", input });
  const [width, height] = sizeOf(fields, edge);
  const count = within(fields, "num_images", [1, mostImages], ["body"]) ?? 1;
  return { prompt, seed: numberOf(fields, "seed") ?? toSeed(prompt), width, height, count };
}

function sizeOf(fields: Fields, edge: number): readonly [width: number, height: number] {
  const given = fields["image_size"];
  if (given === undefined || given === null) return [edge, edge];
  if (typeof given === "string") {
    const named = sizes.get(given);
    if (named !== undefined) return named;
    const msg = `Input should be ${[...sizes.keys()].join(", ")} or a width and height`;
    throw invalid({ loc: ["body", "image_size"], msg, type: "one_of", input: given });
  }
  const box = toFields(given);
  const loc = ["body", "image_size"];
  const width = within(box, "width", [leastEdge, greatestEdge], loc) ?? edge;
  return [width, within(box, "height", [leastEdge, greatestEdge], loc) ?? edge];
}

/** A whole number within limits; undefined when it was not given. */
function within(
  fields: Fields,
  name: string,
  [least, greatest]: readonly [number, number],
  loc: readonly string[],
): number | undefined {
  const input = fields[name];
  if (input === undefined || input === null) return undefined;
  const value = numberOf(fields, name);
  const place = { loc: [...loc, name], input };
  if (value === undefined || !Number.isInteger(value)) {
    throw invalid({ ...place, msg: "Input should be a valid integer", type: "int_type" });
  }
  if (value < least) {
    const msg = `Input should be greater than or equal to ${least}`;
    throw invalid({ ...place, msg, type: "greater_than_equal", ctx: { ge: least } });
  }
  if (value > greatest) {
    const msg = `Input should be less than or equal to ${greatest}`;
    throw invalid({ ...place, msg, type: "less_than_equal", ctx: { le: greatest } });
  }
  return value;
}

/** The 422 as an app throws it. */
function invalid(issue: Issue): Reply {
  return reply(validationError([issue]));
}
