import { Socket } from "node:net";
import { setDefaultCACertificates } from "node:tls";

/** fal's hosts as this process reaches them. */
export interface FalHosts {
  /** Leads a host's port 443 to a port of this machine. */
  lead(host: string, port: number): void;
  /** Dials that went anywhere else than a led host or this machine; they were refused. */
  readonly strays: readonly string[];
  restore(): void;
}

interface Dial {
  readonly host?: string;
  readonly port?: number | string;
}

/**
 * Stands in for name resolution in this process alone: undici, node:https and global fetch all dial through a socket's `connect`.
 * Names, certificates and their checks stay as they are; the authority is trusted beside nothing else.
 */
export function redirectFalHosts(authority: string): FalHosts {
  const ports = new Map<string, number>();
  const strays: string[] = [];
  const dial = Reflect.get(Socket.prototype, "connect") as Socket["connect"];

  function redirected(given: Dial): Dial {
    const host = given.host ?? "localhost";
    const port = ports.get(host);
    if (port !== undefined && Number(given.port) === 443) return { ...given, host: "127.0.0.1", port };
    if (host === "127.0.0.1" || host === "localhost") return given;
    strays.push(`${host}:${given.port}`);
    return { ...given, host: "127.0.0.1", port: 1 };
  }

  Socket.prototype.connect = function (this: Socket, ...args: unknown[]) {
    const [first] = args;
    if (Array.isArray(first)) first[0] = redirected(first[0]);
    else if (typeof first === "object" && first !== null) args[0] = redirected(first);
    return Reflect.apply(dial, this, args) as Socket;
  } as Socket["connect"];
  setDefaultCACertificates([authority]);
  return {
    lead: (host, port) => ports.set(host, port),
    strays,
    restore: () => {
      Socket.prototype.connect = dial;
    },
  };
}
