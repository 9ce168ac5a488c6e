import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** What a path does to the bytes of one direction. */
export interface Toxics {
  /** Milliseconds that every piece takes longer. */
  readonly latency?: number;
  /** Bytes a second. */
  readonly rate?: number;
  /** The most that is written at once. */
  readonly slice?: number;
  /** After so many bytes of a connection it is closed, or reset. */
  readonly limit?: { readonly bytes: number; readonly how: "end" | "reset" };
  /** Nothing passes any more, and nobody is told. */
  readonly silent?: boolean;
}

/** A TCP path to a port that can be slow, cut into pieces, short or dead. */
export interface Shim {
  readonly port: number;
  /** Towards the port. */
  requests: Toxics;
  /** Back from it. */
  answers: Toxics;
  /** Connections that were opened. */
  readonly connections: number;
  /** Connections that are closed at once; those that stand are reset when it becomes true. */
  readonly cut: (isCut: boolean) => void;
  readonly close: () => Promise<void>;
}

export async function startShim(target: number, at = 0): Promise<Shim> {
  const sockets = new Set<Socket>();
  let isCut = false;
  let connections = 0;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    connections += 1;
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect({ port: target, host: "127.0.0.1", allowHalfOpen: true });
    const up = carry(near, far, () => shim.requests);
    const down = carry(far, near, () => shim.answers);
    for (const [socket, other, carried] of [
      [near, far, up],
      [far, near, down],
    ] as const) {
      sockets.add(socket.setNoDelay(true));
      // What was on its way arrives before the connection goes.
      const close = (): void => void carried().then(() => other.destroy());
      socket
        .on("error", () => other.resetAndDestroy())
        .on("close", () => {
          sockets.delete(socket);
          close();
        });
    }
  });
  await once(server.listen(at, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const shim: Shim = {
    port,
    requests: {},
    answers: {},
    get connections() {
      return connections;
    },
    cut(now) {
      isCut = now;
      if (now) for (const socket of sockets) socket.resetAndDestroy();
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  return shim;
}

/**
 * Moves one direction's pieces in order, each as late as the toxics say. What waits is bounded by pausing the sender. Answers how to
 * wait until everything so far has arrived.
 */
function carry(from: Socket, to: Socket, toxics: () => Toxics): () => Promise<unknown> {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  let passed = 0;

  async function write(piece: Buffer): Promise<void> {
    if (to.writable && !to.write(piece))
      await Promise.race([once(to, "drain"), once(to, "close")]).catch(() => undefined);
  }

  async function pass(chunk: Buffer, came: number): Promise<void> {
    const { latency = 0, rate, slice = chunk.length, limit, silent } = toxics();
    if (silent === true) return;
    const early = came + latency - performance.now();
    if (latency > 0 && early > 0) await pause(early);
    const rest = limit === undefined ? chunk : chunk.subarray(0, Math.max(0, limit.bytes - passed));
    for (let at = 0; at < rest.length && to.writable; at += slice) {
      const piece = rest.subarray(at, at + slice);
      await write(piece);
      if (rate !== undefined) await pause((piece.length / rate) * 1000);
      else if (slice < rest.length) await new Promise(setImmediate);
    }
    passed += rest.length;
    if (limit === undefined || passed < limit.bytes) return;
    if (limit.how === "reset") for (const socket of [to, from]) socket.resetAndDestroy();
    else to.end();
  }

  from.on("data", (chunk: Buffer) => {
    const came = performance.now();
    waiting += chunk.length;
    if (waiting > 256 * 1024) from.pause();
    last = last
      .then(() => pass(chunk, came))
      .then(() => {
        waiting -= chunk.length;
        from.resume();
      });
  });
  from.on("end", () => void last.then(() => toxics().silent !== true && to.end()));
  return () => last;
}
