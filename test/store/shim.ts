import { once } from "node:events";
import { type AddressInfo, type Socket, connect, createServer } from "node:net";

/** A TCP path to a port that can be slow or cut. */
export interface Shim {
  readonly port: number;
  /** Milliseconds that every answer takes longer. */
  delay: number;
  /** Connections that are closed at once; those that stand are reset when it becomes true. */
  readonly cut: (isCut: boolean) => void;
  readonly close: () => Promise<void>;
}

export async function startShim(target: number, at = 0): Promise<Shim> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket
        .on("error", () => undefined)
        .on("close", () => {
          sockets.delete(socket);
          near.destroy();
          far.destroy();
        });
    }
    near.pipe(far);
    far.on("data", (chunk) => {
      if (shim.delay === 0) near.write(chunk);
      else setTimeout(() => near.write(chunk), shim.delay).unref();
    });
  });
  await once(server.listen(at, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const shim: Shim = {
    port,
    delay: 0,
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
