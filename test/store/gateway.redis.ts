import { expect, it, onTestFinished } from "vitest";
import { key, leadTo, start, startGateway, token } from "../cli/command.ts";
import { startUpstream } from "../upstream.ts";
import { send } from "../wire.ts";
import { startRedis } from "./redis-server.ts";

it("two gateways on one Redis share the day's cap, and are ready only while it answers", async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.close());
  const upstream = await startUpstream();
  onTestFinished(() => upstream.close());
  const env = { ...leadTo(upstream), KEYWAY_REDIS_URL: `redis://127.0.0.1:${redis.port}` };
  const pair = await Promise.all([1, 2].map(() => startGateway(["--daily-requests", "3"], { env })));
  const statuses = [];
  for (const { url } of [...pair, ...pair]) {
    const { status } = await send(url, {
      method: "POST",
      headers: [
        ["x-fal-target-url", "https://fal.run/demo/echo"],
        ["authorization", `Bearer ${token}`],
        ["content-type", "application/json"],
      ],
      body: "{}",
    });
    statuses.push(status);
  }
  expect(statuses).toEqual([200, 200, 200, 429]);
  const ready = async (): Promise<number> => (await send(new URL("/readyz", pair[0]?.url).href)).status;
  expect(await ready()).toBe(200);
  const doctor = start(["doctor"], { env: { FAL_KEY: key, KEYWAY_REDIS_URL: env.KEYWAY_REDIS_URL } });
  await doctor.line(/(?:ok|warning) +store +Redis answers in \d+ ms/);
  await redis.stop();
  while ((await ready()) !== 503) await new Promise((resolve) => setTimeout(resolve, 100));
  await redis.start();
  while ((await ready()) !== 200) await new Promise((resolve) => setTimeout(resolve, 100));
  for (const { child, exit } of pair) {
    child.kill("SIGTERM");
    expect(await exit).toEqual({ code: 0, signal: null });
  }
});
