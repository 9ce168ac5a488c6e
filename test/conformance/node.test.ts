import { behaviours } from "./behaviours.ts";
import { node } from "./mounts/node.ts";

behaviours(node);
