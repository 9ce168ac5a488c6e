import type { Duplex } from "node:stream";
import type { Ending, Exchange } from "@keyway/core";
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

/** Moves bytes both ways with back-pressure until either side ends. Frames, close codes and pings pass as they were sent. */
export function tunnel({ exchange, caller, upstream, fromCaller, fromUpstream, runtime }: TunnelEnds): void {
  let bytesIn = 0;
  let bytesOut = 0;
  let over = false;
  const entry = { cut: () => close("cut") };
  const idle = setTimeout(() => close("cut"), exchange.up.timeouts.idle);
  const meter =
    exchange.meter === undefined
      ? undefined
      : setInterval(() => ask(exchange, () => close("stopped")), exchange.meter.everyMs);

  function close(ending: Ending): void {
    if (over) return;
    over = true;
    clearTimeout(idle);
    clearInterval(meter);
    runtime.open.delete(entry);
    caller.destroy();
    upstream.destroy();
    exchange.end(ending, { status: 101, bytesIn, bytesOut });
  }

  runtime.open.add(entry);
  pump(caller, upstream, fromCaller, (bytes) => {
    bytesIn += bytes;
    idle.refresh();
  });
  pump(upstream, caller, fromUpstream, (bytes) => {
    bytesOut += bytes;
    idle.refresh();
  });
  upstream.on("error", () => close("cut"));
  caller.on("error", () => close("left"));
  // A side that ended is done when the other has got its last bytes: then both are closed.
  upstream.on("end", () => caller.end(() => close("complete")));
  caller.on("end", () => upstream.end());
  upstream.on("close", () => endAfterFlush(caller, () => close("complete")));
  caller.on("close", () => close("left"));
}

function endAfterFlush(socket: Duplex, then: () => void): void {
  if (socket.destroyed || socket.writableFinished) return then();
  socket.end(then);
}

function pump(from: Duplex, to: Duplex, first: Buffer, count: (bytes: number) => void): void {
  const move = (chunk: Buffer): void => {
    count(chunk.length);
    if (to.destroyed || to.writableEnded || to.write(chunk)) return;
    from.pause();
  };
  if (first.length > 0) move(first);
  to.on("drain", () => from.resume());
  from.on("data", move);
}

function ask(exchange: Exchange, stop: () => void): void {
  exchange.meter?.tick().then((answer) => {
    if (answer === "stop") stop();
  }, stop);
}
