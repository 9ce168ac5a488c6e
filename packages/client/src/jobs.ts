import { type MountOptions, toMountUrl } from "./mount.ts";

/** One of the caller's own jobs. */
export interface Job {
  /** As `fal.queue.submit` gave it: ask `fal.queue.result(endpoint, { requestId })` for its result. */
  readonly requestId: string;
  readonly endpoint: string;
  /** Unix time in milliseconds. */
  readonly submittedAt: number;
  /** How it came out, as its webhook told the app; `OPEN` until then. */
  readonly status: "OPEN" | "OK" | "ERROR";
}

/** Which jobs are wanted. */
export interface JobsOptions extends MountOptions {
  /** Submitted then or later; a number is Unix time in milliseconds. Default all that are known. */
  readonly since?: Date | number;
  /** Headers by which the app knows its user, where that is not a cookie. */
  readonly headers?: () => Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/**
 * The caller's own jobs of the last day, the newest first, at most 100: also those that another page of his submitted. Rejects with an
 * Error that says what the proxy answered.
 *
 * @example const [latest] = await jobs({ proxyUrl: "/api/fal/proxy" });
 */
export async function jobs({ proxyUrl, since, headers, signal }: JobsOptions): Promise<readonly Job[]> {
  const query = since === undefined ? "" : `?since=${Number(since)}`;
  const response = await fetch(`${toMountUrl(proxyUrl)}/~keyway/jobs${query}`, {
    headers: { ...headers?.(), accept: "application/json", "x-keyway-client": "1" },
    credentials: "include",
    signal: signal ?? null,
  });
  const body: unknown = await response.json().catch(() => undefined);
  const { jobs: list, message }: { jobs?: unknown; message?: unknown } = Object(body);
  if (response.ok && Array.isArray(list)) return list as readonly Job[];
  throw new Error(typeof message === "string" ? message : `The proxy answered ${response.status}.`);
}
