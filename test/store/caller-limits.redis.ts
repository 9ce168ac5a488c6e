import { createRedisStore } from "@keyway/redis";
import { afterAll } from "vitest";
import { describeCallerLimits } from "../guard/caller-limits.ts";
import { type OpenClient, clientNames, freshNamespace, openClient, sharedRedis } from "./clients.ts";

for (const name of clientNames) {
  let open: OpenClient | undefined;
  afterAll(() => open?.close());
  describeCallerLimits(`node and Redis by ${name}`, "node", () => {
    open ??= openClient(name, sharedRedis());
    return createRedisStore({ client: open.client, namespace: freshNamespace(), timeout: 5000 });
  });
}
