import { type Socket, connect } from "node:net";

/**
 * Works with so many connections, none of which stays open, however the work ends. They are opened a hundred at a time, and each begins
 * at once: a server reserves room for the request of every connection that has not sent one.
 */
export async function withConnections<T>(
  url: string,
  count: number,
  work: (sockets: readonly Socket[]) => Promise<T>,
  begin: (socket: Socket) => Promise<void> = () => Promise.resolve(),
): Promise<T> {
  const { hostname, port } = new URL(url);
  const sockets: Socket[] = [];
  try {
    while (sockets.length < count) {
      const batch = Array.from({ length: Math.min(100, count - sockets.length) }, () =>
        connect({ host: hostname, port: Number(port), noDelay: true }),
      );
      sockets.push(...batch);
      await Promise.all(batch.map(connected));
      await Promise.all(batch.map(begin));
    }
    return await work(sockets);
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on("error", reject).once("connect", resolve);
  });
}

/** Resolves when more may be written, or nothing any more. */
export function drained(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      socket.off("drain", go).off("close", go);
      resolve();
    };
    socket.on("drain", go).on("close", go);
  });
}
