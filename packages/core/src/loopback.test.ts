import { expect, it } from "vitest";
import { isLoopback } from "./loopback.ts";

it.each([
  ["localhost", true],
  ["127.0.0.1", true],
  ["127.255.3.9", true],
  ["[::1]", true],
  ["localhost.evil.example", false],
  ["evil-localhost", false],
  ["127.0.0.1.evil.example", false],
  ["128.0.0.1", false],
  ["10.0.0.1", false],
  ["0.0.0.0", false],
  ["[::2]", false],
  ["", false],
])("%s: %s", (hostname, is) => {
  expect(isLoopback(hostname)).toBe(is);
});
