import type { Duplex } from "node:stream";
import type { Ending, Exchange } from "@keyway/core";
import { type FrameScanner, closeFrame, createFrameScanner } from "./frames.ts";
import type { Runtime } from "./http.ts";

/** Both ends of an open WebSocket, and what arrived of each before the tunnel stood. */
export interface TunnelEnds {
  readonly exchange: Exchange;
  readonly caller: Duplex;
  readonly upstream: Duplex;
  readonly fromCaller: Buffer;
  readonly fromUpstream: Buffer;
  readonly runtime: Runtime;
}

/** One direction of the tunnel. */
interface Lane {
  readonly from: Duplex;
  readonly to: Duplex;
  readonly scanner: FrameScanner;
  /** What goes to upstream is masked (RFC 6455, section 5.3). */
  readonly masked: boolean;
  /** Our own close frame, waiting for the border. */
  farewell: Buffer | undefined;
  /** A close frame has gone this way, theirs or ours; nothing may follow it. */
  closed: boolean;
  bytes: number;
  stall: NodeJS.Timeout | undefined;
}

const limits = { maxMessageBytes: 64 * 1024 * 1024, maxControlFrames: 1000 };

/**
 * Moves bytes both ways with back-pressure until either side ends: frames, pings and close codes pass as they were sent. Only frame
 * headers are looked at, to keep sizes in bounds and to find the places where a close frame of our own may stand.
 */
export function tunnel({ exchange, caller, upstream, fromCaller, fromUpstream, runtime }: TunnelEnds): void {
  const { timeouts } = runtime.keyway.transport;
  const up = createLane(caller, upstream, true);
  const down = createLane(upstream, caller, false);
  let ending: Ending | undefined;
  let over = false;
  let handshake: NodeJS.Timeout | undefined;
  const idle = setTimeout(() => hangUp(1001, "idle", "cut"), exchange.up.timeouts.idle);
  const { meter } = exchange;
  const metering =
    meter === undefined
      ? undefined
      : setInterval(() => ask(meter, () => hangUp(1008, "no longer allowed", "stopped")), meter.everyMs);
  const entry = { cut: () => finish("cut"), drain: () => hangUp(1001, "going away", "cut") };

  function finish(how: Ending): void {
    if (over) return;
    over = true;
    for (const timer of [idle, handshake, up.stall, down.stall]) clearTimeout(timer);
    clearInterval(metering);
    runtime.open.delete(entry);
    caller.destroy();
    upstream.destroy();
    exchange.end(ending ?? how, { status: 101, bytesIn: up.bytes, bytesOut: down.bytes });
  }

  /** Sends a close frame both ways at the next borders and gives the sides five seconds to part. */
  function hangUp(code: number, reason: string, how: Ending): void {
    ending ??= how;
    for (const lane of [up, down]) sayFarewell(lane, closeFrame(code, reason, lane.masked));
    awaitClose();
  }

  function awaitClose(): void {
    handshake ??= setTimeout(() => finish("complete"), timeouts.socketClose);
  }

  function move(lane: Lane, chunk: Buffer): void {
    lane.bytes += chunk.length;
    idle.refresh();
    if (lane.closed) return;
    const { pass, violation, stopped, closes } = lane.scanner.scan(chunk);
    send(lane, pass);
    if (closes) {
      lane.closed = true;
      awaitClose();
    }
    if (stopped && lane.farewell !== undefined) sayFarewell(lane, lane.farewell);
    if (violation !== undefined)
      hangUp(violation, violation === 1009 ? "message too large" : "too many control frames", "cut");
  }

  function send(lane: Lane, bytes: Buffer): void {
    if (bytes.length === 0 || lane.to.destroyed || lane.to.writableEnded || lane.to.write(bytes)) return;
    lane.from.pause();
    lane.stall ??= setTimeout(() => {
      ending ??= "cut";
      finish("cut");
    }, timeouts.socketStall);
  }

  function sayFarewell(lane: Lane, farewell: Buffer): void {
    if (lane.closed) return;
    if (!lane.scanner.atBorder()) {
      lane.farewell ??= farewell;
      lane.scanner.stopAtBorder();
      return;
    }
    lane.closed = true;
    send(lane, farewell);
  }

  /** One side's connection is gone: the other hears of it by a close code if no close frame said so (RFC 6455, section 7.4.1). */
  function onGone(lane: Lane, code: 1001 | 1011, how: Ending): void {
    if (over) return;
    if (lane.closed) return endAfterFlush(lane.to, () => finish("complete"));
    ending ??= how;
    if (lane.scanner.atBorder()) sayFarewell(lane, closeFrame(code, "", lane.masked));
    endAfterFlush(lane.to, () => finish(how));
    awaitClose();
  }

  function open(lane: Lane, first: Buffer, code: 1001 | 1011, how: Ending): void {
    lane.to.on("drain", () => {
      clearTimeout(lane.stall);
      lane.stall = undefined;
      lane.from.resume();
    });
    lane.from.on("error", () => lane.from.destroy());
    lane.from.on("end", () => onGone(lane, code, how));
    lane.from.on("close", () => onGone(lane, code, how));
    if (first.length > 0) move(lane, first);
    lane.from.on("data", (chunk: Buffer) => move(lane, chunk));
  }

  runtime.open.add(entry);
  for (const socket of [caller, upstream]) keepAlive(socket);
  open(up, fromCaller, 1001, "left");
  open(down, fromUpstream, 1011, "cut");
  if (caller.destroyed) onGone(up, 1001, "left");
}

function createLane(from: Duplex, to: Duplex, masked: boolean): Lane {
  return {
    from,
    to,
    masked,
    scanner: createFrameScanner(limits),
    farewell: undefined,
    closed: false,
    bytes: 0,
    stall: undefined,
  };
}

/** A dead peer is noticed by TCP itself; messages are not delayed to be joined. */
function keepAlive(socket: Duplex): void {
  if ("setKeepAlive" in socket && typeof socket.setKeepAlive === "function") socket.setKeepAlive(true, 30_000);
  if ("setNoDelay" in socket && typeof socket.setNoDelay === "function") socket.setNoDelay(true);
}

function endAfterFlush(socket: Duplex, then: () => void): void {
  if (socket.destroyed || socket.writableFinished) then();
  else socket.end(then);
}

function ask(meter: NonNullable<Exchange["meter"]>, stop: () => void): void {
  meter.tick().then((answer) => {
    if (answer === "stop") stop();
  }, stop);
}
