import { behaviours } from "./behaviours.ts";
import { express4 } from "./mounts/express4.ts";

behaviours(express4);
