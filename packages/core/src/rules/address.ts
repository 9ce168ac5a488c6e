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
