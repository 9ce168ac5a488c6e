import type { Endpoints } from "./pattern.ts";

/** What the app tells its page: `GET /api/config`. */
export interface Config {
  /** True when calls go to the local emulator; false when they go to fal.ai and cost money. */
  readonly emulator: boolean;
  /** Who is signed in. */
  readonly user: string | undefined;
}

export async function loadConfig(url: string): Promise<Config> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} answered ${response.status}.`);
  const config: unknown = await response.json();
  const { emulator, user }: { emulator?: unknown; user?: unknown } =
    typeof config === "object" && config !== null ? config : {};
  return { emulator: emulator === true, user: typeof user === "string" ? user : undefined };
}

const emulated: Endpoints = {
  image: "demo/image",
  priced: "demo/poster",
  slow: "demo/slow",
  stream: "demo/stream",
  withPicture: "demo/echo",
  realtime: "demo/realtime",
  failing: "demo/fail",
  all: ["demo/image", "demo/stream", "demo/slow", "demo/echo", "demo/fail", "demo/realtime"],
};

const real: Endpoints = {
  image: "fal-ai/flux/schnell",
  priced: "fal-ai/fast-lightning-sdxl",
  slow: "fal-ai/flux/dev",
  stream: "fal-ai/flux/dev",
  withPicture: "fal-ai/flux/dev/image-to-image",
  realtime: "fal-ai/fast-lcm-diffusion",
  failing: undefined,
  all: ["fal-ai/flux/schnell", "fal-ai/flux/dev", "fal-ai/flux/dev/image-to-image", "fal-ai/fast-lcm-diffusion"],
};

/** What the forms start with. */
export function endpointsFor({ emulator }: Config): Endpoints {
  return emulator ? emulated : real;
}
