import { describe } from "vitest";
import { leaving } from "../behaviours/leaving.ts";
import { streams } from "../behaviours/streams.ts";
import { sveltekitDev } from "../mounts/sveltekit-dev.ts";

describe(sveltekitDev.name, () => {
  streams(sveltekitDev);
  leaving(sveltekitDev);
});
