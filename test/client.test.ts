import { callThrough } from "./client/suite.ts";
import { mounts } from "./conformance/mounts/all.ts";
import { leaveNothingOpen } from "./conformance/leftovers.ts";

leaveNothingOpen();
callThrough(mounts);
