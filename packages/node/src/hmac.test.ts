import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { hmacSha256 } from "./hmac.ts";

const secrets = ["", "s", "s".repeat(64), "s".repeat(65), "é".repeat(40)];
const messages = ["x", "é", "鍵", "🔑"].flatMap((character) =>
  [0, 1, 55, 64, 170, 171, 447, 448, 449, 5000, 3].map((length) => character.repeat(length)),
);

describe("an HMAC by two hashes is node:crypto's", () => {
  it.each(secrets)("for the secret %j", (secret) => {
    for (const message of messages)
      expect(hmacSha256(secret, message)).toBe(createHmac("sha256", secret).update(message).digest("base64url"));
  });

  it("for more secrets than are kept, in turns", () => {
    for (const at of [...Array(20).keys(), ...Array(20).keys()]) {
      const secret = `secret ${at}`;
      const message = `message ${at}`;
      expect(hmacSha256(secret, message)).toBe(createHmac("sha256", secret).update(message).digest("base64url"));
    }
  });
});
