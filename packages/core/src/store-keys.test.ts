import { afterEach, expect, it, vi } from "vitest";
import type { Head, HeaderList } from "./head.ts";
import { createKeyway } from "./keyway.ts";
import { createMemoryStore } from "./memory-store.ts";
import type { Door } from "./seam.ts";
import type { Store } from "./store.ts";
import { storeKey } from "./store-keys.ts";

const upload = "https://rest.alpha.fal.ai/storage/upload/initiate";

afterEach(() => {
  vi.useRealTimers();
});

/** A store that notes the names it is asked about. */
function createNoting(): { readonly store: Store; readonly noted: () => readonly string[] } {
  const names = new Set<string>();
  const store = new Proxy(createMemoryStore(), {
    get(target, method: keyof Store) {
      return (...given: never[]): unknown => {
        for (const [name] of JSON.stringify(given).matchAll(/keyway:[^"]+/g)) names.add(name);
        return (target[method] as (...given: never[]) => unknown)(...given);
      };
    },
  });
  return { store, noted: () => [...names].toSorted() };
}

function doorTo(target: string, method = "POST"): Door {
  const own = target.startsWith("/");
  const headers: HeaderList = [
    ["content-type", "application/json"],
    ["x-keyway-client", "1"],
    ...(own ? [] : ([["x-fal-target-url", target]] as const)),
  ];
  const path = own ? `/p${target}` : "/p";
  const head: Head = {
    method,
    path,
    query: null,
    mount: "/p",
    headers,
    address: undefined,
    secure: true,
    upgrade: false,
  };
  return {
    head,
    native: undefined,
    codings: "pass",
    closing: false,
    body: async () => new TextEncoder().encode("{}"),
    isGone: () => false,
    waitUntil: () => undefined,
  };
}

it("names in a store stay what they are, for what running apps have in Redis", async () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 1, 3), toFake: ["Date"] });
  const { store, noted } = createNoting();
  const [ada, all, team, pattern] = [
    "caller:09efad848262f9ec369d2aa48181495f",
    "global:1226632b61ce032f6870c5fc764fd261",
    "group:c32527853429f5a89900c69bff326a23",
    "endpoint:24acc361ea72a7c493543fc95ae91d45",
  ];
  const requests = { max: 9, per: "hour" } as const;
  const keyway = createKeyway({
    authorize: () => ({ id: "ada", group: "team" }),
    endpoints: {
      "a/b": { price: { perCall: 1 }, limits: { caller: { requests, jobs: 9 }, global: { streams: 9, requests } } },
    },
    apiKey: "key-id:secret",
    limits: { caller: { budget: { usd: 9, per: "month" }, jobs: 9, streams: 9 }, global: { requests, jobs: 9 } },
    webhooks: { url: "https://app.example/hook", onResult: () => undefined },
    store,
  });
  for (const target of ["https://queue.fal.run/a/b", "https://fal.run/a/b/stream", upload])
    expect(await keyway.plan(doorTo(target))).toHaveProperty("type", "exchange");
  expect(await keyway.plan(doorTo("/~keyway/jobs", "GET"))).toHaveProperty("status", 200);
  await keyway.openJob("some-id");
  await keyway.usage("ada");
  await keyway.usage();
  await keyway.settle();
  await keyway.pause();
  expect(noted()).toEqual([
    "keyway:2:job:5f48593da8c03792f98488219cbcb776",
    "keyway:2:jobs-of:09efad848262f9ec369d2aa48181495f",
    `keyway:2:jobs:${ada}`,
    `keyway:2:jobs:${pattern}:${ada}`,
    `keyway:2:jobs:${pattern}:${team}`,
    `keyway:2:jobs:${all}`,
    `keyway:2:jobs:${team}`,
    `keyway:2:money:${ada}:2026-02`,
    `keyway:2:money:${all}:2026-02-02`,
    `keyway:2:money:${all}:2026-02-03`,
    `keyway:2:money:${team}:2026-02`,
    "keyway:2:paused:c6273a76dbacc382220c17d75efc5668",
    "keyway:2:pending:792be4c69e523aad3586246a857469f7",
    "keyway:2:replay:09efad848262f9ec369d2aa48181495f",
    `keyway:2:requests:hour:${pattern}`,
    `keyway:2:requests:hour:${pattern}:${ada}`,
    `keyway:2:requests:hour:${pattern}:${team}`,
    `keyway:2:requests:hour:${all}`,
    `keyway:2:requests:minute:${ada}`,
    `keyway:2:requests:minute:${team}`,
    `keyway:2:streams:${ada}`,
    `keyway:2:streams:${pattern}`,
    `keyway:2:streams:${team}`,
    `keyway:2:uploads:${ada}`,
    `keyway:2:uploads:${team}`,
  ]);
  expect(await keyway.callerHash("ada")).toBe("09efad848262f9ec369d2aa48181495f");
  expect(storeKey("delivery", "x")).toBe("keyway:2:delivery:x");
});
