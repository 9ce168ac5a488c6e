import { createKitDevHost } from "../kit-host.ts";
import type { Mount } from "../mount.ts";
import { sveltekit } from "./sveltekit.ts";

export const sveltekitDev: Mount = { ...sveltekit, name: "sveltekit-dev", startMount: createKitDevHost() };
