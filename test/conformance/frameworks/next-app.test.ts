import { behaviours } from "../behaviours.ts";
import { nextApp } from "../mounts/next-app.ts";

behaviours(nextApp);
