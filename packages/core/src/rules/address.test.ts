import { expect, it } from "vitest";
import type { HeaderList } from "../head.ts";
import { addressOf, networkOf } from "./address.ts";

const forwarded = (...values: string[]): HeaderList => values.map((value) => ["x-forwarded-for", value]);

it.each([
  ["believes nobody by default", "10.0.0.1", forwarded("1.1.1.1"), 0, "10.0.0.1"],
  ["one hop: the last entry", "10.0.0.1", forwarded("6.6.6.6, 1.1.1.1"), 1, "1.1.1.1"],
  ["two hops: the last but one", "10.0.0.1", forwarded("6.6.6.6, 1.1.1.1, 2.2.2.2"), 2, "1.1.1.1"],
  ["several lines are one list", "10.0.0.1", forwarded("6.6.6.6", "1.1.1.1"), 1, "1.1.1.1"],
  ["fewer entries than hops", "10.0.0.1", forwarded("1.1.1.1"), 2, "1.1.1.1"],
  ["no entry", "10.0.0.1", [], 1, "10.0.0.1"],
  ["only commas", "10.0.0.1", forwarded(" , ,"), 1, "10.0.0.1"],
  ["an address in a mapped form", "::ffff:1.2.3.4", [], 0, "1.2.3.4"],
  ["a port after IPv4", "10.0.0.1", forwarded("1.1.1.1:4711"), 1, "1.1.1.1"],
  ["a port after IPv6", "10.0.0.1", forwarded("[2001:db8::1]:4711"), 1, "2001:db8::1"],
  ["IPv6 as it is", "2001:db8::1", [], 0, "2001:db8::1"],
  ["unknown", undefined, [], 0, undefined],
  ["a long lie", "10.0.0.1", forwarded("x".repeat(1000)), 1, "x".repeat(64)],
] as const)("%s", (_name, address, headers, hops, expected) => {
  expect(addressOf({ address, headers }, hops)).toBe(expected);
});

it.each([
  ["1.2.3.4", "1.2.3.4"],
  ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
  ["2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"],
  ["2001:DB8:0001:0002:0:0:0:9", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["2001:db8::9", "2001:db8:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
])("%s is counted as %s", (address, expected) => {
  expect(networkOf(address)).toBe(expected);
});
