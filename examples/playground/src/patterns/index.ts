import type { CreatePattern } from "../pattern.ts";
import { createBudgets } from "./budgets.ts";
import { createErrors } from "./errors.ts";
import { createLater } from "./later.ts";
import { createPlatformHeaders } from "./platform-headers.ts";
import { createQueue } from "./queue.ts";
import { createRealtime } from "./realtime.ts";
import { createRun } from "./run.ts";
import { createStream } from "./stream.ts";
import { createSubscribe } from "./subscribe.ts";
import { createUpload } from "./upload.ts";

/** The pages of the playground, in the order of its menu. */
export const patterns: readonly CreatePattern[] = [
  createRun,
  createSubscribe,
  createQueue,
  createLater,
  createStream,
  createRealtime,
  createUpload,
  createPlatformHeaders,
  createBudgets,
  createErrors,
];
