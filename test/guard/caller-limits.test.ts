import { describeCallerLimits } from "./caller-limits.ts";
import { transports } from "./ground.ts";

for (const transport of transports) describeCallerLimits(`${transport} and memory`, transport, () => undefined);
