import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Ending, Exchange } from "@keyway/core";
import { type FrameLimits, type FrameScanner, closeFrame, createFrameScanner } from "./frames.ts";
import type { Runtime } from "./http.ts";

/** Both ends of an open WebSocket, and what arrived of each before the tunnel stood. */
export interface TunnelEnds {
  readonly exchange: Exchange;
  readonly caller: Duplex;
  readonly upstream: Duplex;
  readonly fromCaller: Buffer;
  readonly fromUpstream: Buffer;
  /** The server by which the caller came. */
  readonly server: unknown;
  readonly runtime: Runtime;
}

/** One direction of the tunnel. */
interface Lane {
  readonly from: Duplex;
  readonly to: Duplex;
  readonly scanner: FrameScanner;
  /** What goes to upstream is masked (RFC 6455, section 5.3). */
  readonly masked: boolean;
  /** What the other side hears when `from` is lost without a close frame (RFC 6455, section 7.4.1). */
  readonly lost: 1001 | 1011;
  readonly whenLost: Ending;
  /** Our own close frame, waiting for the border. */
  farewell: Buffer | undefined;
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
export function tunnel({ exchange, caller, upstream, fromCaller, fromUpstream, server, runtime }: TunnelEnds): void {
  const { timeouts, sockets } = runtime.keyway.transport;
  const limits = { maxMessageBytes: sockets.maxMessageBytes, maxControlFrames };
  const up = createLane([caller, upstream], { masked: true, lost: 1001, whenLost: "left" }, limits);
  const down = createLane([upstream, caller], { masked: false, lost: 1011, whenLost: "cut" }, limits);
  let ending: Ending | undefined;
  let over = false;
  let parting: NodeJS.Timeout | undefined;
  const idle = setTimeout(() => hangUp(1001, "idle", "cut"), exchange.up.timeouts.idle);
  const { meter } = exchange;
  const metering =
    meter && setInterval(() => ask(meter, () => hangUp(1008, "no longer allowed", "stopped")), meter.everyMs);
  const entry = { server, cut: () => finish("cut"), drain: () => hangUp(1001, "going away", "cut") };

  /** The one teardown. */
  function finish(how: Ending): void {
    if (over) return;
    over = true;
    for (const timer of [idle, parting, up.stall, down.stall]) clearTimeout(timer);
    clearInterval(metering);
    runtime.open.delete(entry);
    caller.destroy();
    upstream.destroy();
    exchange.end(ending ?? how, { status: 101, bytesIn: up.bytes, bytesOut: down.bytes });
  }

  /** Sends a close frame both ways at the next borders and gives the sides some seconds to part. */
  function hangUp(code: number, reason: string, how: Ending): void {
    ending ??= how;
    for (const lane of [up, down]) {
      sayFarewell(lane, closeFrame(code, reason, lane.masked));
      // What still comes is dropped, and read so that the end is seen.
      if (lane.closed) lane.from.resume();
    }
    part();
  }

  function part(): void {
    parting ??= setTimeout(() => finish("complete"), timeouts.socketClose);
  }

  function move(lane: Lane, chunk: Buffer): void {
    lane.bytes += chunk.length;
    idle.refresh();
    if (lane.closed) return;
    const { pass, violation, stopped, closes } = lane.scanner.scan(chunk);
    send(lane, pass);
    if (closes) {
      lane.closed = true;
      part();
    }
    if (stopped && lane.farewell !== undefined) sayFarewell(lane, lane.farewell);
    if (violation !== undefined)
      hangUp(violation, violation === 1009 ? "message too large" : "too many control frames", "cut");
  }

  function send(lane: Lane, bytes: Buffer): void {
    if (bytes.length === 0 || lane.to.destroyed || lane.to.writableEnded || lane.to.write(bytes)) return;
    if (lane.closed) return;
    lane.from.pause();
    lane.stall ??= setTimeout(() => hangUp(1013, "reader too slow", "cut"), timeouts.socketStall);
  }

  function onDrain(lane: Lane): void {
    clearTimeout(lane.stall);
    lane.stall = undefined;
    lane.from.resume();
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

  /** Nothing more comes from one side: the other gets what is on its way, a close code if no close frame said so, and its end. */
  function onEnded(lane: Lane): void {
    if (over || lane.ended) return;
    lane.ended = true;
    if (!lane.closed) {
      ending ??= lane.whenLost;
      if (lane.scanner.atBorder()) sayFarewell(lane, closeFrame(lane.lost, "", lane.masked));
      lane.closed = true;
    }
    if (up.ended && down.ended) return finish("complete");
    lane.to.end();
    // Whoever still sends is read to his end: a reset would take the close frame with it.
    lane.to.resume();
    part();
  }

  function open(lane: Lane, first: Buffer): void {
    const ended = (): void => onEnded(lane);
    lane.to.on("drain", () => onDrain(lane));
    lane.from
      .on("error", () => lane.from.destroy())
      .on("end", ended)
      .on("close", ended);
    if (first.length > 0) move(lane, first);
    lane.from.on("data", (chunk: Buffer) => move(lane, chunk));
    if (lane.stall === undefined) lane.from.resume();
    if (lane.from.destroyed) ended();
  }

  runtime.open.add(entry);
  for (const socket of [caller, upstream]) keepAlive(socket);
  open(up, fromCaller);
  open(down, fromUpstream);
  // Whoever was still shaking hands when the proxy or the server began to close is asked to part now.
  if (runtime.closing || (server as { listening?: boolean } | undefined)?.listening === false) entry.drain();
}

function createLane(
  [from, to]: readonly [Duplex, Duplex],
  side: Pick<Lane, "masked" | "lost" | "whenLost">,
  limits: FrameLimits,
): Lane {
  const scanner = createFrameScanner(limits);
  return { from, to, ...side, scanner, farewell: undefined, closed: false, ended: false, bytes: 0, stall: undefined };
}

/** A dead peer is noticed by TCP itself, within a minute; messages are not delayed to be joined. */
function keepAlive(socket: Duplex): void {
  const { setKeepAlive, setNoDelay, setTimeout: setIdle } = socket as Partial<Socket>;
  setKeepAlive?.call(socket, true, 30_000);
  setNoDelay?.call(socket, true);
  setIdle?.call(socket, 0);
}

function ask(meter: NonNullable<Exchange["meter"]>, stop: () => void): void {
  meter.tick().then((answer) => {
    if (answer === "stop") stop();
  }, stop);
}
