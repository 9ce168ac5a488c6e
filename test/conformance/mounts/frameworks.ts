import type { Mount } from "../mount.ts";
import { nextApp } from "./next-app.ts";
import { nextPages } from "./next-pages.ts";
import { sveltekit } from "./sveltekit.ts";

/** Mounts that need a build of their fixture app. */
export const frameworks: readonly Mount[] = [nextApp, nextPages, sveltekit];
