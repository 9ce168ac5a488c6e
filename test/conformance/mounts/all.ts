import type { Mount } from "../mount.ts";
import { express4 } from "./express4.ts";
import { express5 } from "./express5.ts";
import { node } from "./node.ts";
import { web } from "./web.ts";

export const mounts: readonly Mount[] = [node, express4, express5, web];
