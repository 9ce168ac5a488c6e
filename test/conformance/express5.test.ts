import { behaviours } from "./behaviours.ts";
import { express5 } from "./mounts/express5.ts";

behaviours(express5);
