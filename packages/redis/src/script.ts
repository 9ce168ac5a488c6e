import { createHash } from "node:crypto";
import { holds } from "./lua/holds.ts";
import { keys } from "./lua/keys.ts";
import { methods } from "./lua/methods.ts";
import { rates } from "./lua/rates.ts";

/** One script for every method: Redis runs it as a whole, and loads it once. */
export const script: string = `${keys}${rates}${holds}${methods}`;

/** The name that Redis knows the script by. */
export const scriptSha: string = createHash("sha1").update(script).digest("hex");
