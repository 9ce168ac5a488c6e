import { expect, it, vi } from "vitest";
import { createKeyway } from "./keyway.ts";
import { storeOfProcess } from "./process-store.ts";

const options = {
  authorize: () => ({ id: "ada" }),
  endpoints: { "demo/**": { price: { perCall: 1 } } },
  limits: { caller: { budget: { usd: 1, per: "day" } } },
  upstream: { url: "http://127.0.0.1:9", key: "none:0123456789abcdef" },
} as const;

it("instances of one namespace count together, those of another do not", async () => {
  vi.spyOn(console, "error").mockImplementation(() => undefined);
  const [one, two] = [createKeyway({ ...options, namespace: "shop" }), createKeyway({ ...options, namespace: "shop" })];
  await one.pause();
  await expect(two.submitFor({ id: "ada" }, "demo/echo", { input: {} })).rejects.toMatchObject({ code: "paused" });
  const other = createKeyway({ ...options, namespace: "garage" });
  await expect(other.submitFor({ id: "ada" }, "demo/echo", { input: {} })).rejects.not.toMatchObject({
    code: "paused",
  });
});

it("a second copy of the module, as a bundler makes it, finds the first one's store", async () => {
  const address = "./process-store.ts?copy";
  const copy: { storeOfProcess: typeof storeOfProcess } = await import(address);
  expect(copy.storeOfProcess).not.toBe(storeOfProcess);
  expect(copy.storeOfProcess("shop")).toBe(storeOfProcess("shop"));
  expect(copy.storeOfProcess("yard")).not.toBe(storeOfProcess("shop"));
});
