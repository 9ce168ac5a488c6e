const mark = "keyway-proxied:";

/** The host of fal-js 1.10.1, and the other name that fal has for it. */
const falRun = /^wss:\/\/(?:fal\.run|falrun\.com)\//;

/** Stands where the official client puts a token, and names the mount to go to. It opens nothing, anywhere. */
export function toTicket(mountUrl: string): string {
  return mark + mountUrl;
}

/**
 * The URL to open instead of one of fal.run's that carries a ticket: the same endpoint behind the ticket's mount, without it. Every
 * other URL is given back as it came.
 */
function toRoutedUrl(url: string | URL): string | URL {
  const text = String(url);
  if (!falRun.test(text)) return url;
  const { pathname, searchParams } = new URL(text);
  const ticket = searchParams.get("fal_jwt_token");
  if (ticket === null || !ticket.startsWith(mark)) return url;
  searchParams.delete("fal_jwt_token");
  const mountUrl = ticket.slice(mark.length).replace(/^http/, "ws");
  return `${mountUrl}/fal.run${pathname}${searchParams.size === 0 ? "" : `?${searchParams.toString()}`}`;
}

type SocketClass = typeof WebSocket;

let route: { readonly original: SocketClass; readonly routed: SocketClass; users: number } | undefined;

/**
 * Puts a `WebSocket` in place that opens what {@link toRoutedUrl} says and is the browser's own otherwise: same prototype, constants and
 * `instanceof`. However often it is asked for, it is put in place once. The returned function takes it out when nobody needs it any more.
 */
export function openRoute(): () => void {
  route ??= install();
  const mine = route;
  mine.users += 1;
  let isOpen = true;
  return () => {
    if (!isOpen) return;
    isOpen = false;
    mine.users -= 1;
    if (mine.users > 0) return;
    if (route === mine) route = undefined;
    // Whoever has wrapped it since keeps it: it passes on what is not ours.
    if (globalThis.WebSocket === mine.routed) globalThis.WebSocket = mine.original;
  };
}

function install(): NonNullable<typeof route> {
  const original = globalThis.WebSocket;
  const routed: SocketClass = new Proxy(original, {
    construct(target, [url, ...rest]: [string | URL, ...unknown[]], newTarget) {
      const made = newTarget === routed ? target : newTarget;
      const socket: unknown = Reflect.construct(target, [toRoutedUrl(url), ...rest], made);
      return Object(socket);
    },
  });
  globalThis.WebSocket = routed;
  return { original, routed, users: 0 };
}
