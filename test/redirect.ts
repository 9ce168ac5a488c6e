import { createRequire } from "node:module";
import type tlsModule from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";

const tls = createRequire(import.meta.url)("node:tls") as typeof tlsModule;

/** One TLS connection that was led elsewhere. */
export interface Led {
  readonly host: string;
  readonly port: number;
  readonly servername: string | undefined;
  readonly rejectUnauthorized: boolean | undefined;
  readonly socket: TLSSocket;
}

/**
 * Leads TLS connections to fal's hosts to a port of this machine, for undici and node:https alike: both call `tls.connect` on the
 * module object. Names, certificates and everything else of the connection stay as they were asked for; `ca` is trusted in addition.
 */
export function redirectFal(
  port: number,
  ca: string | undefined,
): { readonly led: readonly Led[]; restore(this: void): void } {
  const original = tls.connect;
  const led: Led[] = [];
  tls.connect = ((options: ConnectionOptions, ...rest: unknown[]) => {
    const { host = "", port: asked = 0, servername, rejectUnauthorized } = options;
    if (!/(?:^|\.)fal\.(?:run|ai)$/.test(host)) return Reflect.apply(original, tls, [options, ...rest]) as TLSSocket;
    const changed = {
      ...options,
      host: "127.0.0.1",
      port,
      servername: servername ?? host,
      ...(ca === undefined ? {} : { ca }),
    };
    const socket = Reflect.apply(original, tls, [changed, ...rest]) as TLSSocket;
    led.push({ host, port: Number(asked), servername, rejectUnauthorized, socket });
    return socket;
  }) as typeof tls.connect;
  return {
    led,
    restore: () => {
      tls.connect = original;
    },
  };
}
