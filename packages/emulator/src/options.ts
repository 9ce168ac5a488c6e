import { randomUUID } from "node:crypto";
import { toTimer } from "./clock.ts";

/** Everything that can be chosen when an emulator is made. All of it has a default. */
export interface EmulatorOptions {
  /**
   * Ids, tokens and file names follow from it, so that two emulators with one seed that get the same calls in the same
   * order answer the same ids. Add a fixed `now`, a `cdnUrl` and `pace: "reads"` and they answer the same bytes. Random by default.
   */
  readonly seed?: string;
  /** The time in milliseconds since the epoch, for logs, metrics, dates and token expiry. `Date.now` by default. */
  readonly now?: () => number;
  /** The only API key that is let in (`keyid:secret`). By default any `Authorization: Key …` is. */
  readonly key?: string;
  /** Every emulated wait is multiplied by it: 1 (default) lets a person watch, 0 waits for nothing. */
  readonly timeScale?: number;
  /**
   * What moves a job on. `"time"` (default): it starts after `queuedMs` and runs by itself. `"reads"`: the first status
   * read sees IN_QUEUE, the second IN_PROGRESS, the third waits for COMPLETED; a status stream sees all three.
   */
  readonly pace?: "time" | "reads";
  /** How long a job stays IN_QUEUE though there is room for it, in milliseconds before scaling. 400 by default. */
  readonly queuedMs?: number;
  /** How long a job is IN_PROGRESS at least, in milliseconds before scaling. 500 by default. */
  readonly runningMs?: number;
  /** How many jobs run at once; the others keep their place in the queue. 10 by default. */
  readonly concurrency?: number;
  /** How many direct calls (run, stream) run at once; one more is 429 `concurrent_requests_limit`. No limit by default. */
  readonly directConcurrency?: number;
  /** The origin under which browsers reach this emulator. By default where it listens, else the request's own Host. */
  readonly publicUrl?: string;
  /** Base of upload and file URLs, standing for `https://v3b.fal.media`. By default `<origin>/v3b.fal.media`. */
  readonly cdnUrl?: string;
  /** Job URLs in queue answers: `"fal"` (default) gives `https://queue.fal.run/…` as fal does, `"own"` this emulator's. */
  readonly urls?: "fal" | "own";
  /** Sides taken where fal's behaviour is not known for certain; all lenient by default. */
  readonly strict?: {
    /** 405 for job URLs that hold the endpoint's path (`owner/alias/path/requests/…`), as some have seen. */
    readonly urls?: boolean;
    /** A token's `allowed_apps` must name owner and alias; the bare alias that fal-js sends does not do. */
    readonly tokens?: boolean;
  };
  /** Whether an unknown `fal-ai/…` is played by a demo app (default). Otherwise it is 404 like all unknown apps. */
  readonly fallback?: boolean;
  /** Time without an event after which a stream gets a `: ping` line, in real milliseconds. 15,000 by default. */
  readonly pingMs?: number;
  /** The account that webhook deliveries are signed for. `"emulator-account"` by default. */
  readonly webhookUserId?: string;
  readonly realtime?: {
    /** Time of waiting for input after which a socket gets TIMEOUT and closes 1000, in real milliseconds. 30,000 by default. */
    readonly idleMs?: number;
    /**
     * What a bad token meets: `"message"` (default) an Unauthorized message, then close 1008, and a good one for another app only
     * close 1008 with the reason Forbidden; `"forbidden"` always the latter; `"handshake"` HTTP 401 or 403.
     */
    readonly refusal?: "message" | "forbidden" | "handshake";
    /** Tells after each result how long it took, as apps can that are told to. Off by default. */
    readonly timings?: boolean;
  };
  /** Largest request body, in bytes; beyond it 413. 256 MiB by default. */
  readonly maxBodyBytes?: number;
  /** How much of a request body a recorded call keeps, in bytes. 1 MiB by default; size and hash always cover it all. */
  readonly recordedBytes?: number;
}

/** Options with every default in place. */
export interface Settings {
  readonly seed: string;
  readonly now: () => number;
  readonly key: string | undefined;
  readonly timeScale: number;
  readonly pace: "time" | "reads";
  readonly queuedMs: number;
  readonly runningMs: number;
  readonly concurrency: number;
  readonly directConcurrency: number;
  readonly publicUrl: string | undefined;
  readonly cdnUrl: string | undefined;
  readonly urls: "fal" | "own";
  readonly strict: { readonly urls: boolean; readonly tokens: boolean };
  readonly fallback: boolean;
  readonly pingMs: number;
  readonly webhookUserId: string;
  readonly realtime: {
    readonly idleMs: number;
    readonly refusal: "message" | "forbidden" | "handshake";
    readonly timings: boolean;
  };
  readonly maxBodyBytes: number;
  readonly recordedBytes: number;
}

const mebibyte = 1024 * 1024;

export function resolveOptions(options: EmulatorOptions): Settings {
  return Object.freeze({
    seed: options.seed ?? randomUUID(),
    now: options.now ?? Date.now,
    key: options.key,
    timeScale: atLeast("timeScale", options.timeScale ?? 1, 0),
    pace: options.pace ?? "time",
    queuedMs: atLeast("queuedMs", options.queuedMs ?? 400, 0),
    runningMs: atLeast("runningMs", options.runningMs ?? 500, 0),
    concurrency: atLeast("concurrency", options.concurrency ?? 10, 1),
    directConcurrency: atLeast("directConcurrency", options.directConcurrency ?? Infinity, 0),
    publicUrl: withoutSlash(options.publicUrl),
    cdnUrl: withoutSlash(options.cdnUrl),
    urls: options.urls ?? "fal",
    strict: { urls: options.strict?.urls ?? false, tokens: options.strict?.tokens ?? false },
    fallback: options.fallback ?? true,
    pingMs: toTimer(atLeast("pingMs", options.pingMs ?? 15_000, 1)),
    webhookUserId: options.webhookUserId ?? "emulator-account",
    realtime: {
      idleMs: toTimer(atLeast("realtime.idleMs", options.realtime?.idleMs ?? 30_000, 1)),
      refusal: options.realtime?.refusal ?? "message",
      timings: options.realtime?.timings ?? false,
    },
    maxBodyBytes: atLeast("maxBodyBytes", options.maxBodyBytes ?? 256 * mebibyte, 0),
    recordedBytes: atLeast("recordedBytes", options.recordedBytes ?? mebibyte, 0),
  });
}

function atLeast(name: string, value: number, least: number): number {
  if (value >= least) return value;
  throw new TypeError(`createEmulator: ${name} must be a number of at least ${least}, not ${value}.`);
}

function withoutSlash(url: string | undefined): string | undefined {
  return url?.replace(/\/+$/, "");
}
