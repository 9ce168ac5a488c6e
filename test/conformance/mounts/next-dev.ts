import type { Mount } from "../mount.ts";
import { createNextHost } from "../next-host.ts";
import { nextApp } from "./next-app.ts";

export const nextDev: Mount = { ...nextApp, name: "next-dev", startMount: createNextHost("next-app", true) };
