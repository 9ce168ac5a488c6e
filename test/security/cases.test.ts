import { mounts } from "../conformance/mounts/all.ts";
import { attack } from "./cases.ts";

attack(mounts);
