import type { AppContext } from "../app.ts";
import { image, type ImageOutput } from "./image.ts";
import { toImageInput } from "./image-input.ts";
import { drawPicture } from "./picture.ts";

/** From coarse to fine, in pixels. */
const grains = [64, 32, 16, 8];

/** Sends partial pictures as data URLs, each finer than the one before, then the whole one as a file. */
export async function stream(input: unknown, context: AppContext): Promise<ImageOutput & { readonly progress: 1 }> {
  const { prompt, seed, width, height } = toImageInput(input);
  for (const [index, grain] of grains.entries()) {
    await context.sleep(150);
    const url = toDataUrl(drawPicture({ seed, width, height, grain }));
    const progress = (index + 1) / (grains.length + 1);
    await context.emit({ images: [{ url, width, height, content_type: "image/png" }], seed, prompt, progress });
  }
  return { ...(await image(input, context)), progress: 1 };
}

export function toDataUrl(png: Buffer): string {
  return `data:image/png;base64,${png.toString("base64")}`;
}
