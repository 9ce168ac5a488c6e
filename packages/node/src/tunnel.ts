import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Ending, Exchange, OpenSocket } from "@keyway/core";
import {
  type FrameLimits,
  type FrameScan,
  closeFrame,
  createFrameScan,
  isAtFrameBoundary,
  scanFrames,
} from "./frames.ts";
import type { Runtime } from "./runtime.ts";

/** Both ends of an open WebSocket, and what arrived of each before the tunnel stood. */
export interface TunnelEnds {
  readonly exchange: Exchange;
  readonly caller: Duplex;
  readonly upstream: Duplex;
  readonly fromCaller: Buffer;
  readonly fromUpstream: Buffer;
  /** The server by which the caller came. */
  readonly server: unknown;
  /** That server has begun to close during the handshake. */
  readonly closing: boolean;
  readonly runtime: Runtime;
}

/** One open WebSocket. Nothing of its handshake is kept: there may be thousands of quiet ones. */
interface Tunnel {
  readonly up: Lane;
  readonly down: Lane;
  readonly end: OpenSocket["end"];
  readonly runtime: Runtime;
  readonly server: unknown;
  readonly cut: () => void;
  readonly drain: () => void;
  /** For `runtime.open`. */
  place: number;
  ending: Ending | undefined;
  over: boolean;
  idle: NodeJS.Timeout | undefined;
  metering: NodeJS.Timeout | undefined;
  closeTimer: NodeJS.Timeout | undefined;
}

/** One direction of the tunnel. */
interface Lane {
  readonly from: Duplex;
  readonly to: Duplex;
  readonly scan: FrameScan;
  /** What goes to upstream is masked (RFC 6455, section 5.3). */
  readonly masked: boolean;
  /** What the other side hears when `from` is lost without a close frame (RFC 6455, section 7.4.1). */
  readonly lost: 1001 | 1011;
  readonly whenLost: Ending;
  /** Our own close frame, waiting for the frame boundary. */
  pendingClose: Buffer | undefined;
  /** A close frame has gone this way, theirs or ours; nothing may follow it. */
  closed: boolean;
  /** Nothing more comes this way. */
  ended: boolean;
  bytes: number;
  stall: NodeJS.Timeout | undefined;
}

/** Most pings, pongs and closes of one side in a second. */
const maxControlFrames = 1000;

/**
 * Moves bytes both ways with back-pressure until either side ends: frames, pings and close codes pass as they were sent. Only frame
 * headers are looked at, to keep sizes in bounds and to find the places where a close frame of our own may stand.
 */
export function tunnel(ends: TunnelEnds): void {
  const { exchange, caller, upstream, fromCaller, fromUpstream, server, closing, runtime } = ends;
  const limits = { maxMessageBytes: runtime.keyway.transport.sockets.maxMessageBytes, maxControlFrames };
  const { end, meter } = exchange.opened();
  const one: Tunnel = {
    up: createLane([caller, upstream], { masked: true, lost: 1001, whenLost: "left" }, limits),
    down: createLane([upstream, caller], { masked: false, lost: 1011, whenLost: "cut" }, limits),
    end,
    runtime,
    server,
    cut: () => finish(one, "cut"),
    drain: () => startClosingHandshake(one, 1001, "going away", "cut"),
    place: -1,
    ending: undefined,
    over: false,
    idle: setTimeout(() => startClosingHandshake(one, 1001, "idle", "cut"), exchange.up.timeouts.idle),
    metering: meter && setInterval(() => ask(one, meter), meter.everyMs),
    closeTimer: undefined,
  };
  runtime.open.add(one);
  for (const socket of [caller, upstream]) keepAlive(socket);
  open(one, one.up, fromCaller);
  open(one, one.down, fromUpstream);
  // Whoever was still shaking hands when the proxy or the server began to close is asked to close now.
  if (!one.over && (runtime.closing || closing)) one.drain();
}

/** Whoever is no longer let in, or cannot pay for another minute, is told so. */
function ask(one: Tunnel, meter: NonNullable<Exchange["meter"]>): void {
  const stop = (): void => startClosingHandshake(one, 1008, "no longer allowed", "stopped");
  meter.tick().then((answer) => {
    if (answer === "stop") stop();
  }, stop);
}

function open(one: Tunnel, lane: Lane, first: Buffer): void {
  const ended = (): void => onEnded(one, lane);
  lane.to.on("drain", () => onDrain(lane));
  lane.from.on("error", destroyThis).on("end", ended).on("close", ended);
  if (first.length > 0) move(one, lane, first);
  lane.from.on("data", (chunk: Buffer) => move(one, lane, chunk));
  if (lane.stall === undefined) lane.from.resume();
  if (lane.from.destroyed) ended();
}

function destroyThis(this: Duplex): void {
  this.destroy();
}

function move(one: Tunnel, lane: Lane, chunk: Buffer): void {
  lane.bytes += chunk.length;
  one.idle?.refresh();
  if (lane.closed) return;
  const { pass, violation, stopped, closes } = scanFrames(lane.scan, chunk);
  send(one, lane, pass);
  if (closes) {
    lane.closed = true;
    awaitClose(one, one.runtime.keyway.transport.timeouts.socketStall);
  }
  if (stopped && lane.pendingClose !== undefined) sendClose(one, lane, lane.pendingClose);
  if (violation !== undefined)
    startClosingHandshake(one, violation, violation === 1009 ? "message too large" : "too many control frames", "cut");
}

function send(one: Tunnel, lane: Lane, bytes: Buffer): void {
  if (bytes.length === 0 || lane.to.destroyed || lane.to.writableEnded || lane.to.write(bytes)) return;
  if (lane.closed) return;
  lane.from.pause();
  const { socketStall } = one.runtime.keyway.transport.timeouts;
  lane.stall ??= setTimeout(() => startClosingHandshake(one, 1013, "reader too slow", "cut"), socketStall);
}

function onDrain(lane: Lane): void {
  clearTimeout(lane.stall);
  lane.stall = undefined;
  lane.from.resume();
}

/** Sends a close frame both ways, each at its next frame boundary (RFC 6455, section 7.1.2), and gives the sides some seconds to close. */
function startClosingHandshake(one: Tunnel, code: number, reason: string, how: Ending): void {
  one.ending ??= how;
  for (const lane of [one.up, one.down]) {
    sendClose(one, lane, closeFrame(code, reason, lane.masked));
    // What still comes is dropped, and read so that the end is seen.
    if (lane.closed) lane.from.resume();
  }
  awaitClose(one, 0);
}

/** Sends a close frame, or keeps it until the frame under way is complete. */
function sendClose(one: Tunnel, lane: Lane, frame: Buffer): void {
  if (lane.closed) return;
  if (!isAtFrameBoundary(lane.scan)) {
    lane.pendingClose ??= frame;
    lane.scan.stopping = true;
    return;
  }
  lane.closed = true;
  send(one, lane, frame);
}

/** Nothing more comes from one side: the other gets what is on its way, a close code if no close frame said so, and its end. */
function onEnded(one: Tunnel, lane: Lane): void {
  if (one.over || lane.ended) return;
  lane.ended = true;
  if (!lane.closed) {
    one.ending ??= lane.whenLost;
    if (isAtFrameBoundary(lane.scan)) sendClose(one, lane, closeFrame(lane.lost, "", lane.masked));
    lane.closed = true;
  }
  if (one.up.ended && one.down.ended) return finish(one, "complete");
  lane.to.end();
  // Whoever still sends is read to his end: a reset would take the close frame with it.
  lane.to.resume();
  awaitClose(one, one.runtime.keyway.transport.timeouts.socketStall);
}

/** From the first close frame or end on, both sides have so long to close; `patience` milliseconds more who has yet to take what came before it. */
function awaitClose(one: Tunnel, patience: number): void {
  if (one.closeTimer !== undefined) return;
  clearInterval(one.metering);
  const { socketClose } = one.runtime.keyway.transport.timeouts;
  const until = Date.now() + patience;
  const look = (): void => {
    const writing = [one.up, one.down].some(({ closed, to }) => closed && to.writableLength > 0);
    if (writing && Date.now() < until) one.closeTimer = setTimeout(look, socketClose);
    else finish(one, "complete");
  };
  one.closeTimer = setTimeout(look, socketClose);
}

/** The one teardown. */
function finish(one: Tunnel, how: Ending): void {
  if (one.over) return;
  one.over = true;
  const { up, down } = one;
  for (const timer of [one.idle, one.closeTimer, up.stall, down.stall]) clearTimeout(timer);
  clearInterval(one.metering);
  one.runtime.open.delete(one);
  up.from.destroy();
  down.from.destroy();
  one.end(one.ending ?? how, { status: 101, bytesIn: up.bytes, bytesOut: down.bytes });
}

function createLane(
  [from, to]: readonly [Duplex, Duplex],
  side: Pick<Lane, "masked" | "lost" | "whenLost">,
  limits: FrameLimits,
): Lane {
  const scan = createFrameScan(limits);
  return { from, to, ...side, scan, pendingClose: undefined, closed: false, ended: false, bytes: 0, stall: undefined };
}

/** A dead peer is noticed by TCP itself, within a minute; messages are not delayed to be joined. */
function keepAlive(socket: Duplex): void {
  const { setKeepAlive, setNoDelay, setTimeout: setIdle } = socket as Partial<Socket>;
  setKeepAlive?.call(socket, true, 30_000);
  setNoDelay?.call(socket, true);
  setIdle?.call(socket, 0);
}
