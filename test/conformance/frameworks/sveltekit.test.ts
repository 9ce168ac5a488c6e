import { behaviours } from "../behaviours.ts";
import { sveltekit } from "../mounts/sveltekit.ts";

behaviours(sveltekit);
