import type { Keyway } from "@keyway/core";
import type { OpenCalls } from "./open-calls.ts";
import type { Upstreams } from "./upstream.ts";

/** Shared by all calls of one proxy. */
export interface Runtime {
  readonly keyway: Keyway;
  readonly upstreams: Upstreams;
  readonly open: OpenCalls;
  /** How many requests and handshakes are being decided: they are under way, and cannot be cut off yet. */
  deciding: number;
  closing: boolean;
  /** The wait for what is under way is over: nothing is sent any more. */
  closed: boolean;
  /** Lets work go on after the answer; its failures are logged. */
  readonly waitUntil: (work: Promise<unknown>) => void;
}
