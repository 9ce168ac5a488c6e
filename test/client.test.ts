import { callThrough } from "./client/suite.ts";
import { mounts } from "./conformance/mounts/all.ts";

callThrough(mounts);
