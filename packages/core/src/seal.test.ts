import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createDigests } from "./digests.ts";
import { type Sealer, createSealer, deriveSecret } from "./seal.ts";

const subject = { caller: "ada", app: "fal-ai/flux", requestId: "019e161b-386c-7d33-8e2f-0123456789ab" };
const { caller, app } = subject;
type Secrets = Parameters<typeof createSealer>[0];
const withSecrets = (secrets: Secrets): Sealer => createSealer(secrets, createDigests());
const first = ["a secret of this server"];
const sealer = withSecrets(() => first);

describe("a sealed id", () => {
  it("opens for its caller and app", async () => {
    const sealed = await sealer.seal(subject);
    expect(sealed).toMatch(/^019e161b-386c-7d33-8e2f-0123456789ab\.[A-Za-z0-9_-]{22}$/);
    expect(await sealer.open(sealed, { caller, app })).toBe(subject.requestId);
  });
  it("is the same on every instance and after a restart", async () => {
    expect(await withSecrets(async () => ["a secret of this server"]).seal(subject)).toBe(await sealer.seal(subject));
  });
  it.each([
    ["another caller", { caller: "bob", app }],
    ["nobody", { caller: "", app }],
    ["another app", { caller, app: "fal-ai/flux-pro" }],
    ["parts moved between the two", { caller: 'ada","fal-ai', app: "flux" }],
  ])("does not open for %s", async (_name, other) => {
    expect(await sealer.open(await sealer.seal(subject), other)).toBeUndefined();
  });
  it("does not open when any character was changed, left out or added", async () => {
    const sealed = await sealer.seal(subject);
    for (let at = 0; at < sealed.length; at += 1) {
      const others = [...new Set(["A", "a", "0", "_", ".", String.fromCharCode(sealed.charCodeAt(at) ^ 1)])];
      for (const other of others.filter((character) => character !== sealed[at])) {
        const forged = sealed.slice(0, at) + other + sealed.slice(at + 1);
        expect(await sealer.open(forged, { caller, app }), forged).toBeUndefined();
      }
      expect(await sealer.open(sealed.slice(0, at) + sealed.slice(at + 1), { caller, app })).toBeUndefined();
      expect(await sealer.open(`${sealed.slice(0, at)}A${sealed.slice(at)}`, { caller, app })).toBeUndefined();
    }
  });
  it.each([
    "",
    ".",
    subject.requestId,
    `${subject.requestId}.`,
    `.${"A".repeat(22)}`,
    `${subject.requestId}.${"A".repeat(22)}`,
    "A".repeat(23),
    "__proto__",
  ])("%j is none", async (text) => {
    expect(await sealer.open(text, { caller, app })).toBeUndefined();
  });
  it("survives a new secret while the old one is listed", async () => {
    const sealed = await sealer.seal(subject);
    const rotated = withSecrets(() => ["a newer secret here", "a secret of this server"]);
    expect(await rotated.open(sealed, { caller, app })).toBe(subject.requestId);
    expect(await rotated.seal(subject)).not.toBe(sealed);
    expect(await withSecrets(() => ["a newer secret here"]).open(sealed, { caller, app })).toBeUndefined();
  });
  it("works for any caller, app and id", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string(),
        fc.string(),
        fc.stringMatching(/^[\w.~-]{1,200}$/),
        async (who, which, requestId) => {
          const sealed = await sealer.seal({ caller: who, app: which, requestId });
          expect(await sealer.open(sealed, { caller: who, app: which })).toBe(requestId);
          expect(await sealer.open(sealed, { caller: `${who}x`, app: which })).toBeUndefined();
        },
      ),
      { numRuns: 50 },
    );
  });
});

it("a secret is derived from the key, and does not show it", async () => {
  const [one, two, again] = await Promise.all(["id:one", "id:two", "id:one"].map(deriveSecret));
  expect(one).toBe(again);
  expect(one).not.toBe(two);
  expect(one).toMatch(/^[\w-]{43}$/);
});

it("asks for its secrets on every use, and passes their failure on", async () => {
  const failing = withSecrets(() => {
    throw new Error("no key");
  });
  await expect(async () => failing.seal(subject)).rejects.toThrow("no key");
});

it("the platform's own HMAC seals as WebCrypto does, from the next use on", async () => {
  const digests = createDigests();
  const one = createSealer(() => first, digests);
  const before = await one.seal(subject);
  let computed = 0;
  digests.use({
    ...digests,
    hmac: (secret, message) => {
      computed += 1;
      return createHmac("sha256", secret).update(message).digest("base64url");
    },
  });
  expect(await createSealer(() => first, digests).open(before, { caller, app })).toBe(subject.requestId);
  expect(await one.seal(subject)).toBe(before);
  expect(computed).toBe(2);
});

describe("seals that were right are remembered", () => {
  function counted(secrets: Secrets): { readonly one: Sealer; readonly computed: () => number } {
    let computed = 0;
    const digests = createDigests();
    digests.use({
      ...digests,
      hmac: (secret, message) => {
        computed += 1;
        return createHmac("sha256", secret).update(message).digest("base64url");
      },
    });
    return { one: createSealer(secrets, digests), computed: () => computed };
  }
  it("and open at once, for the same caller and app only", async () => {
    const { one, computed } = counted(() => first);
    const sealed = await sealer.seal(subject);
    expect(await one.open(sealed, { caller, app })).toBe(subject.requestId);
    for (let index = 0; index < 5; index += 1) expect(one.open(sealed, { caller, app })).toBe(subject.requestId);
    expect(computed()).toBe(1);
    expect(await one.open(sealed, { caller: "bob", app })).toBeUndefined();
    expect(await one.open(sealed, { caller, app: "fal-ai/other" })).toBeUndefined();
  });
  it("wrong ones are not", async () => {
    const { one, computed } = counted(() => first);
    for (let index = 0; index < 3; index += 1)
      expect(await one.open(`${subject.requestId}.${"A".repeat(22)}`, { caller, app })).toBeUndefined();
    expect(computed()).toBe(3);
  });
  it("until the secrets change", async () => {
    let secrets = first;
    const { one } = counted(() => secrets);
    const sealed = await one.seal(subject);
    expect(await one.open(sealed, { caller, app })).toBe(subject.requestId);
    secrets = ["a newer secret here"];
    expect(await one.open(sealed, { caller, app })).toBeUndefined();
    secrets = ["a newer secret here", ...first];
    expect(await one.open(sealed, { caller, app })).toBe(subject.requestId);
  });
});
