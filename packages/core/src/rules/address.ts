import { type Head, type HeaderList } from "../head.ts";

/**
 * The caller's address. Behind `hops` trusted proxies it is the n-th entry from the right of X-Forwarded-For: everything further
 * left was written by the caller. Without trusted proxies the header is ignored.
 */
export function addressOf(head: Pick<Head, "headers" | "address">, hops: number): string | undefined {
  if (hops === 0) return normalise(head.address);
  const chain = forwardedFor(head.headers);
  return normalise(chain.at(-hops) ?? chain[0] ?? head.address);
}

function forwardedFor(headers: HeaderList): string[] {
  const lines = headers.filter(([name]) => name === "x-forwarded-for").map(([, value]) => value);
  return lines
    .join(",")
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** Without a port; an IPv4 address mapped into IPv6 is the IPv4 address (RFC 4291, section 2.5.5.2). */
function normalise(address: string | undefined): string | undefined {
  if (address === undefined || !address.includes(":")) return address?.slice(0, 64);
  return address
    .replace(/^\[(.*)\](?::\d+)?$|^([^:]*):\d+$/, "$1$2")
    .replace(/^::ffff:(?=\d+\.)/i, "")
    .slice(0, 64);
}

/** What calls are counted by: an IPv6 subscriber has a whole /64 to call from (RFC 6177). */
export function networkOf(address: string): string {
  if (!address.includes(":")) return address;
  const [front = "", back] = address.split("%", 1)[0]?.toLowerCase().split("::") ?? [];
  const before = front === "" ? [] : front.split(":");
  const after = back === undefined || back === "" ? [] : back.split(":");
  const zeros =
    back === undefined ? [] : Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0");
  const groups = [...before, ...zeros, ...after].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}

/** The name that an address is counted by, known or not. */
export function bucketOf(address: string | undefined): string {
  return `address ${address === undefined ? "unknown" : networkOf(address)}`;
}
