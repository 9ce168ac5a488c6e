import { createApps, type Apps } from "./apps.ts";
import { createCalls, type Calls } from "./calls.ts";
import { createClock, type Clock } from "./clock.ts";
import { createDeliveries, type Deliveries } from "./deliveries.ts";
import { createFaults, type FaultSource } from "./faults.ts";
import { createFiles, type Files } from "./files.ts";
import { createIds, type Ids } from "./ids.ts";
import { createJobs, type Jobs } from "./jobs.ts";
import { createWebhookKey, type WebhookKey } from "./jwks.ts";
import type { Settings } from "./options.ts";
import { createTokens, type Tokens } from "./tokens.ts";

/** All that one emulator holds; every route works on it. */
export interface Platform {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly apps: Apps;
  readonly jobs: Jobs;
  readonly files: Files;
  readonly tokens: Tokens;
  readonly faults: FaultSource;
  readonly calls: Calls;
  readonly webhookKey: WebhookKey;
  readonly deliveries: Deliveries;
  /** Where the emulator listens, such as `http://127.0.0.1:4100`; undefined while it does not. */
  origin: string | undefined;
  /** Direct calls being answered. */
  direct: number;
}

export function createPlatform(settings: Settings): Platform {
  const clock = createClock(settings.now, settings.timeScale);
  const faults = createFaults();
  const webhookKey = createWebhookKey(settings.seed);
  return {
    settings,
    clock,
    ids: createIds(settings.seed),
    apps: createApps(settings.fallback),
    jobs: createJobs(settings, clock),
    files: createFiles(),
    tokens: createTokens(settings),
    faults,
    calls: createCalls(settings.recordedBytes),
    webhookKey,
    deliveries: createDeliveries(settings, clock, webhookKey, faults),
    origin: undefined,
    direct: 0,
  };
}
