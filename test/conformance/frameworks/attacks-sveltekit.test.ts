import { attack } from "../../security/cases.ts";
import { sveltekit } from "../mounts/sveltekit.ts";

attack([sveltekit]);
