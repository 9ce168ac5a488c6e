// The proxy under fuzz, in a process of its own: what nobody catches ends it, and the fuzz sees that. Two doors, node and web.
import { node } from "../conformance/mounts/node.ts";
import { web } from "../conformance/mounts/web.ts";
import { byName } from "../conformance/stage.ts";

const [url = "", key = ""] = process.argv.slice(2);
const short = 200;
const doors = await Promise.all(
  [node, web].map((mount) =>
    mount.startMount({
      authorize: byName,
      endpoints: ["demo/**"],
      upstream: { url, key },
      realtime: "token",
      limits: { caller: { requests: { max: 1e9, per: "day" }, streams: 1e6, jobs: 1e6 } },
      uploads: { perMinute: 1e9 },
      timeouts: {
        callerBody: short,
        head: short,
        runHead: short,
        idle: short,
        streamIdle: short,
        handshake: short,
        socketIdle: short,
        socketStall: short,
        socketClose: 50,
      },
    }),
  ),
);
for (const { server } of doors)
  Object.assign(server, { headersTimeout: 500, requestTimeout: 1000, keepAliveTimeout: 500 });
process.send?.(doors.map((door) => Number(new URL(door.url).port)));
process.on("disconnect", () => process.exit());
