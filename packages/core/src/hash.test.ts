import { hash } from "node:crypto";
import { expect, it } from "vitest";
import { createDigests } from "./digests.ts";
import { createHashes } from "./hash.ts";

it("is the same by WebCrypto and by the platform, of one length, and shows nothing of the id", async () => {
  const [web, platform] = [createDigests(), createDigests()];
  platform.use({ hmac: platform.hmac, sha256: (text) => hash("sha256", text) });
  for (const id of ["caller ada", "", "a".repeat(10_000), "\u{1f511} \ud800 *\r\n\0"]) {
    const ours = await createHashes("shop", web).of(id);
    expect(createHashes("shop", platform).of(id)).toBe(ours);
    expect(createHashes("shop", platform).once(id)).toBe(ours);
    expect(ours).toMatch(/^[0-9a-f]{32}$/);
  }
});

it("differs between namespaces, wherever namespace and id part", async () => {
  const digests = createDigests();
  const names = [await createHashes("a", digests).of("b c"), await createHashes("a b", digests).of("c")];
  expect(new Set([...names, await createHashes("a", digests).of("c")]).size).toBe(3);
});
