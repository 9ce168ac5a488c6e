import type { AppContext } from "../app.ts";
import { toFields } from "../fields.ts";
import type { Image } from "./image.ts";
import { toImageInput } from "./image-input.ts";
import { drawPicture } from "./picture.ts";
import { toSeed } from "./random.ts";
import { toDataUrl } from "./stream.ts";

/** What the realtime demo answers to each message. */
export interface RealtimeOutput {
  readonly images: readonly Image[];
  readonly seed: number;
  readonly prompt: string;
  /** The caller's own, so that answers find their questions. */
  readonly request_id?: unknown;
}

/** Answers each message with a small picture as a data URL, and with the message's `request_id`. */
export function realtime(input: unknown, context: AppContext): RealtimeOutput {
  const { prompt, seed, width, height } = toImageInput(input, 256);
  context.setUnits(1);
  const { request_id, seed: stated } = toFields(input);
  // Unlike with the others the prompt counts beside a seed: both change while the page is open.
  const scene = stated === undefined ? seed : toSeed(`${prompt}\n${seed}`);
  const url = toDataUrl(drawPicture({ seed: scene, width, height }));
  const output = { images: [{ url, width, height, content_type: "image/png" as const }], seed, prompt };
  return request_id === undefined ? output : { ...output, request_id };
}
