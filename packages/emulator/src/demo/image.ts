import type { AppContext } from "../app.ts";
import { toImageInput } from "./image-input.ts";
import { drawPicture } from "./picture.ts";

/** One picture as fal's image models describe it. */
export interface Image {
  readonly url: string;
  readonly width: number;
  readonly height: number;
  readonly content_type: "image/png";
}

/** What the picture demos answer. */
export interface ImageOutput {
  readonly images: readonly Image[];
  /** Seconds. */
  readonly timings: { readonly inference: number };
  readonly seed: number;
  readonly has_nsfw_concepts: readonly boolean[];
  readonly prompt: string;
}

const steps = 4;

/** Draws a real PNG from its prompt and tells its progress in the log. One unit per picture. */
export async function image(input: unknown, context: AppContext): Promise<ImageOutput> {
  const { prompt, seed, width, height, count } = toImageInput(input);
  const begun = context.now();
  context.log(`Drawing ${count === 1 ? "a picture" : `${count} pictures`} of ${width}×${height} for “${prompt}”`);
  for (let step = 1; step <= steps; step += 1) {
    await context.sleep(150);
    context.log(`${Math.round((step / steps) * 100)}% (${step}/${steps} steps)`);
  }
  const images: Image[] = [];
  for (let index = 0; index < count; index += 1) {
    const url = context.saveFile(drawPicture({ seed: seed + index, width, height }), "image/png");
    images.push({ url, width, height, content_type: "image/png" });
    await context.sleep(0);
  }
  context.setUnits(count);
  const inference = (context.now() - begun) / 1000;
  return { images, timings: { inference }, seed, has_nsfw_concepts: images.map(() => false), prompt };
}
