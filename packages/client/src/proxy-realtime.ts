import { type MountOptions, toMountUrl } from "./mount.ts";
import { openRoute, toTicket } from "./socket-route.ts";

/** A `tokenProvider` for `fal.realtime.connect` that fetches no token: the connection goes through the proxy instead. */
export interface ThroughProxy {
  (endpoint: string): Promise<string>;
  /** Puts the page's own `WebSocket` back. Open connections stay open; connecting with this provider fails from now on. */
  restore(): void;
}

/**
 * Leads the official client's real-time connections through Keyway. fal-js 1.10.1 has its host, `wss://fal.run`, written into it and no
 * option to change that. So this **replaces the page's `WebSocket`** by one that takes connections made with the provider it returns to
 * the proxy; everything else on the page gets the browser's own, as before. The browser sees neither key nor token.
 *
 * Where a page is rendered on a server it does nothing, if `proxyUrl` is a path: a whole URL is for what is no page, such as React Native.
 * @example
 * const throughProxy = proxyRealtime({ proxyUrl: "/api/fal/proxy" });
 * const connection = fal.realtime.connect("fal-ai/fast-lcm-diffusion", {
 *   tokenProvider: throughProxy,
 *   onResult: ({ images }) => show(images),
 * });
 */
export function proxyRealtime({ proxyUrl }: MountOptions): ThroughProxy {
  if (globalThis.location === undefined && !URL.canParse(proxyUrl)) return closed("there is no page here");
  if (globalThis.WebSocket === undefined) return closed("there is no WebSocket here");
  const ticket = toTicket(toMountUrl(proxyUrl));
  const close = openRoute();
  let isOpen = true;
  const provide = async (): Promise<string> => {
    if (!isOpen) throw new Error("proxyRealtime: restore() was called, so nothing leads to the proxy any more.");
    return ticket;
  };
  return Object.assign(provide, {
    restore() {
      isOpen = false;
      close();
    },
  });
}

function closed(why: string): ThroughProxy {
  const refuse = (): Promise<string> => Promise.reject(new Error(`proxyRealtime: ${why}.`));
  return Object.assign(refuse, { restore: () => undefined });
}
