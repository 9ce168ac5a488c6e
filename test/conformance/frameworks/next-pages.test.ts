import { behaviours } from "../behaviours.ts";
import { nextPages } from "../mounts/next-pages.ts";

behaviours(nextPages);
