import { withDefaults } from "./with-defaults.ts";

/** Times in milliseconds; each may be changed by itself. */
export interface Timeouts {
  /** Connecting upstream, TLS included. Default 10 s. */
  readonly connect: number;
  /** Upstream's answer head on run and stream, which may work for long. Default 60 min. */
  readonly runHead: number;
  /** Upstream's answer head on every other call. Default 30 s. */
  readonly head: number;
  /** Silence in the body of run, stream and status-stream. Default 30 min. */
  readonly streamIdle: number;
  /** Silence in every other body. Default 60 s. */
  readonly idle: number;
  /** Silence of the caller while he sends a body. Default 30 s. */
  readonly callerBody: number;
  /** Upstream's answer to a WebSocket handshake. Default 10 s. */
  readonly handshake: number;
  /** A socket on which nobody sends. Default 30 min. */
  readonly socketIdle: number;
  /** A socket whose reader takes nothing. Default 60 s. */
  readonly socketStall: number;
  /** The closing handshake of a socket (RFC 6455, section 7). Default 5 s. */
  readonly socketClose: number;
  /** `authorize`. Default 10 s. */
  readonly authorize: number;
  /** One answer of the store. Default 250 ms. */
  readonly store: number;
  /** How long a job's reservation waits for the job's end. Default 24 h. */
  readonly jobLease: number;
  /** How long an open stream or socket keeps its place when nothing renews it. Default 2 min. */
  readonly openLease: number;
  /** Without a read of its status for this long a job is abandoned. Default 60 s. */
  readonly abandoned: number;
  /** Going on with a submit or cancel whose caller left. Default 30 s. */
  readonly finish: number;
  /** Waiting for open calls in `close()`. Default 30 s. */
  readonly drain: number;
}

const minute = 60_000;
const standard: Timeouts = {
  connect: 10_000,
  runHead: 60 * minute,
  head: 30_000,
  streamIdle: 30 * minute,
  idle: minute,
  callerBody: 30_000,
  handshake: 10_000,
  socketIdle: 30 * minute,
  socketStall: minute,
  socketClose: 5000,
  authorize: 10_000,
  store: 250,
  jobLease: 24 * 60 * minute,
  openLease: 2 * minute,
  abandoned: minute,
  finish: 30_000,
  drain: 30_000,
};

export function resolveTimeouts(option: Partial<Timeouts> | undefined): Timeouts {
  return withDefaults(option, standard);
}
