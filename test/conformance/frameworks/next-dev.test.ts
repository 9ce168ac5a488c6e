import { describe } from "vitest";
import { leaving } from "../behaviours/leaving.ts";
import { streams } from "../behaviours/streams.ts";
import { nextDev } from "../mounts/next-dev.ts";

describe(nextDev.name, () => {
  streams(nextDev);
  leaving(nextDev);
});
