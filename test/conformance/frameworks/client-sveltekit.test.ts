import { callThrough } from "../../client/suite.ts";
import { sveltekit } from "../mounts/sveltekit.ts";

callThrough([sveltekit]);
