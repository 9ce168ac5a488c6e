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

/** An IPv4 address mapped into IPv6 is the IPv4 address (RFC 4291, section 2.5.5.2). */
function normalise(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, "").slice(0, 64);
}

/** The name that an address is counted by: an IPv6 address by its /64, which is what one customer gets. */
export function bucketOf(address: string | undefined): string {
  if (address === undefined) return "address unknown";
  if (!address.includes(":")) return `address ${address}`;
  return `address ${expand(address.split("%", 1)[0] ?? "")
    .slice(0, 4)
    .join(":")}::/64`;
}

/** The eight groups of an IPv6 address, without leading zeros (RFC 4291, section 2.2). */
function expand(address: string): string[] {
  const [left = "", right] = address.toLowerCase().split("::");
  const head = left === "" ? [] : left.split(":");
  const tail = right === undefined || right === "" ? [] : right.split(":");
  const zeros = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  return [...head, ...Array.from({ length: zeros }, () => "0"), ...tail].map((group) => group.replace(/^0+(?=.)/, ""));
}
