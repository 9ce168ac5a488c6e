import type { Socket } from "node:net";
import type { Script } from "../upstream.ts";

/** Writes raw bytes and then closes the connection politely, or resets it below TLS. */
export function raw(bytes: string | Uint8Array, then: "end" | "reset" = "end"): Script {
  return ({ socket }) => {
    const sent = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    const finish = (): void => {
      if (then === "reset") reset(socket);
      else socket.end();
    };
    if (sent.length === 0) finish();
    else socket.write(sent, finish);
  };
}

/** A TLS socket cannot be reset; the socket below it can. */
export function reset(socket: Socket): void {
  const { _parent: below } = socket as { _parent?: Socket };
  (below ?? socket).resetAndDestroy();
}
