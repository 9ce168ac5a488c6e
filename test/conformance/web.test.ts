import { behaviours } from "./behaviours.ts";
import { web } from "./mounts/web.ts";

behaviours(web);
