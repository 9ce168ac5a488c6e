import {
  type JsonWebKey,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  randomBytes,
  randomInt,
  verify,
} from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type KeySet, type VerifyOptions, verifyWebhook } from "@keyway/core/webhooks";
import { describe, expect, it } from "vitest";
import { importEd25519, isSigned } from "../../packages/core/src/webhooks/ed25519.ts";
import { createSigner } from "./signer.ts";

interface Vector {
  readonly id: string;
  readonly title: string;
  readonly expect: boolean;
  readonly now: number;
  readonly headers: Record<string, string>;
  readonly body_b64: string;
  readonly jwks: KeySet;
}

interface WycheproofGroup {
  readonly publicKey: { readonly pk: string };
  readonly tests: readonly {
    readonly tcId: number;
    readonly msg: string;
    readonly sig: string;
    readonly result: string;
  }[];
}

function load<T>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../vectors", name), "utf8"));
}

describe("K01: signed deliveries", () => {
  const { vectors } = load<{ vectors: readonly Vector[] }>("webhook-vectors.json");

  it("there are 30", () => expect(vectors).toHaveLength(30));

  it.each(vectors)("$id $title", async ({ headers, body_b64, jwks, now, expect: right }) => {
    const body = Buffer.from(body_b64, "base64");
    expect(await verifyWebhook({ headers, body, jwks, now })).toMatchObject({ ok: right });
    expect(await verifyWebhook({ headers: Object.entries(headers), body, jwks: () => jwks, now })).toMatchObject({
      ok: right,
    });
  });
});

describe("K02: Wycheproof", () => {
  const { testGroups } = load<{ testGroups: readonly WycheproofGroup[] }>("wycheproof-ed25519.json");

  it("all 151 come out as marked", async () => {
    const wrong: number[] = [];
    const counts = { valid: 0, invalid: 0 };
    for (const { publicKey, tests } of testGroups) {
      const key = await importEd25519(Buffer.from(publicKey.pk, "hex").toString("base64url"));
      for (const { tcId, msg, sig, result } of tests) {
        const signature = new Uint8Array(Buffer.from(sig, "hex"));
        const right = key !== undefined && (await isSigned(key, signature, new Uint8Array(Buffer.from(msg, "hex"))));
        counts[right ? "valid" : "invalid"] += 1;
        if (right !== (result === "valid")) wrong.push(tcId);
      }
    }
    expect([wrong, counts]).toEqual([[], { valid: 88, invalid: 63 }]);
  });
});

/** The same question answered by node:crypto, from fal's documentation and not from ours. */
function secondOpinion({ headers, body, jwks, now }: Delivery): boolean {
  const lines = ["request-id", "user-id", "timestamp"].map((name) => headers[`x-fal-webhook-${name}`] ?? "");
  const signature = headers["x-fal-webhook-signature"] ?? "";
  const ids = lines.slice(0, 2).every((line) => /^[!-+\--~]+$/.test(line));
  const time = lines[2] ?? "";
  if (!ids || String(Number.parseInt(time, 10)) !== time || Math.abs(Number(time) - now) > 300) return false;
  if (signature.toLowerCase() !== Buffer.from(signature, "hex").toString("hex")) return false;
  const message = Buffer.from([...lines, createHash("sha256").update(body).digest("hex")].join("\n"));
  return jwks.keys.some((key) =>
    verify(null, message, createPublicKey({ key, format: "jwk" }), Buffer.from(signature, "hex")),
  );
}

interface Delivery {
  readonly headers: Record<string, string>;
  readonly body: Uint8Array;
  readonly jwks: { readonly keys: readonly JsonWebKey[] };
  readonly now: number;
}

/** One change, or none. */
function bend(delivery: Delivery, how: number): Delivery {
  const { headers, body, now } = delivery;
  const names = Object.keys(headers);
  const name = names[randomInt(names.length)] ?? "";
  const value = headers[name] ?? "";
  const at = randomInt(value.length);
  const other = (text: string): Delivery => ({ ...delivery, headers: { ...headers, [name]: text } });
  const bytes = new Uint8Array(body);
  switch (how) {
    case 0:
      return other(value.slice(0, at) + "0123456789abcdef"[randomInt(16)] + value.slice(at + 1));
    case 1:
      return other(value.slice(0, at) + value.slice(at + 1));
    case 2:
      return other(value + ["0", " ", "\n", "g", "00"][randomInt(5)]);
    case 3:
      return { ...delivery, now: now + randomInt(-400, 401) };
    case 4:
      bytes[randomInt(bytes.length)] = randomInt(256);
      return { ...delivery, body: bytes };
    case 5:
      return other(value.toUpperCase());
    default:
      return delivery;
  }
}

it(
  "10,000 random deliveries: both implementations say the same, of right and of wrong ones",
  { timeout: 60_000 },
  async () => {
    const signers = [createSigner(), createSigner(), createSigner()];
    const disagreed: unknown[] = [];
    const counts = { right: 0, wrong: 0 };
    for (let count = 0; count < 10_000; count += 1) {
      const signer = signers[randomInt(3)] ?? signers[0];
      const body = new Uint8Array(randomBytes(1 + randomInt(200)));
      const now = 1_767_225_600 + randomInt(1_000_000);
      const keys = signers.filter(() => randomInt(4) > 0).flatMap(({ jwks }) => jwks.keys);
      const ids = { requestId: randomBytes(8).toString("hex"), userId: `user|${randomInt(1000)}` };
      const whole = { headers: signer?.headers(body, { ...ids, now }) ?? {}, body, jwks: { keys }, now };
      const delivery = bend(whole, randomInt(10));
      const { ok } = await verifyWebhook(delivery);
      counts[ok ? "right" : "wrong"] += 1;
      if (ok !== secondOpinion(delivery)) disagreed.push({ ...delivery, ok });
    }
    expect(disagreed).toEqual([]);
    expect(counts.right).toBeGreaterThan(2000);
    expect(counts.wrong).toBeGreaterThan(2000);
  },
);

describe("keys", () => {
  const signer = createSigner();
  const body = new TextEncoder().encode('{"status":"OK"}');
  const now = 1_767_225_600;
  const ask = (keys: readonly unknown[]) =>
    verifyWebhook({ headers: signer.headers(body, { now }), body, jwks: { keys: keys as object[] }, now });
  const [good] = signer.jwks.keys;

  it("K35: keys of other kinds, with its bytes or their own, are passed over", async () => {
    const x = good !== undefined && "x" in good ? good.x : undefined;
    const others: unknown[] = [
      generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ format: "jwk" }),
      generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" }),
      generateKeyPairSync("x25519").publicKey.export({ format: "jwk" }),
      { kty: "oct", k: x },
      { kty: "OKP", crv: "X25519", x },
      { kty: "EC", crv: "Ed25519", x },
      { kty: "OKP", crv: "Ed25519", x, use: "enc" },
      { kty: "OKP", crv: "Ed25519", x, alg: "HS256" },
      { kty: "OKP", crv: "Ed25519", x: `${String(x)}=` },
      "x",
    ];
    expect(await ask(others)).toEqual({ ok: false, reason: "signature_wrong" });
    expect(await ask([...others, good])).toMatchObject({ ok: true, requestId: "req-1", userId: "user-1" });
  });

  it("K36: a key of small order verifies nothing, in any encoding", async () => {
    const points = [
      "0100000000000000000000000000000000000000000000000000000000000000",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "0000000000000000000000000000000000000000000000000000000000000000",
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ].map((hex) => Buffer.from(hex, "hex"));
    for (const point of points) {
      for (const sign of [0, 0x80]) {
        const key = Buffer.from(point);
        key[31] = (key[31] ?? 0) | sign;
        expect(await importEd25519(key.toString("base64url"))).toBeUndefined();
        // Right for every message under the neutral point: R the point itself, S zero.
        const forged = {
          ...signer.headers(body, { now }),
          "x-fal-webhook-signature": point.toString("hex") + "00".repeat(32),
        };
        const jwks = { keys: [{ kty: "OKP", crv: "Ed25519", x: key.toString("base64url") }] };
        expect(await verifyWebhook({ headers: forged, body, jwks, now })).toMatchObject({ ok: false });
      }
    }
  });

  it("K17: of 10,000 keys the first 16 of Ed25519 are tried", async () => {
    const many = Array.from({ length: 15 }, createSigner).flatMap(({ jwks }) => jwks.keys);
    const rest = Array.from({ length: 9_984 }, () => many[0]);
    expect(await ask([...many, good, ...rest])).toMatchObject({ ok: true });
    expect(await ask([...many, many[0], good, ...rest])).toMatchObject({ ok: false });
  });
});

describe("spelling", () => {
  const signer = createSigner();
  const body = new TextEncoder().encode("{}");
  const now = 1_767_225_600;
  const headers = signer.headers(body, { now });
  const ask = (given: VerifyOptions["headers"], at = now) =>
    verifyWebhook({ headers: given, body, jwks: signer.jwks, now: at });
  const reason = async (given: VerifyOptions["headers"], at = now) => {
    const verified = await ask(given, at);
    return verified.ok ? undefined : verified.reason;
  };

  it("K28: 300 seconds either way, and not one more", async () => {
    for (const at of [now - 300, now + 300]) expect(await reason(headers, at)).toBeUndefined();
    for (const at of [now - 301, now + 301, Number.NaN])
      expect(await reason(headers, at)).toBe("timestamp_outside_window");
  });

  it("K37: a timestamp is decimal digits", async () => {
    const spellings = [
      "1e9",
      "0x69564200",
      ` ${now}`,
      `${now} `,
      `+${now}`,
      `0${now}`,
      `${now}.0`,
      `${now}000`,
      "１767225600",
      "NaN",
    ];
    for (const text of spellings)
      expect(await reason({ ...headers, "x-fal-webhook-timestamp": text })).toMatch(/^timestamp_/);
  });

  it("K38: a signature is 128 hex digits", async () => {
    const hex = headers["x-fal-webhook-signature"] ?? "";
    const spellings = [
      `${hex}zz`,
      `${hex}00`,
      `0x${hex}`,
      hex.slice(2),
      ` ${hex}`,
      `${hex.slice(0, -1)}g`,
      hex.replace(/.$/, "\n"),
    ];
    for (const text of spellings)
      expect(await reason({ ...headers, "x-fal-webhook-signature": text })).toBe("signature_invalid");
    expect(await reason({ ...headers, "x-fal-webhook-signature": hex.toUpperCase() })).toBeUndefined();
  });

  it("K25: a header that comes twice", async () => {
    for (const [name, value] of Object.entries(headers)) {
      expect(await reason([...Object.entries(headers), [name, value]])).toBe("header_repeated");
      expect(await reason({ ...headers, [name]: [value, value] })).toBe("header_repeated");
      const web = new Headers(headers);
      web.append(name, value);
      expect(await reason(web)).toBe("header_repeated");
    }
  });

  it("names in any case, as every host gives them", async () => {
    const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]));
    for (const given of [upper, new Headers(upper), Object.entries(upper)])
      expect(await ask(given)).toEqual({ ok: true, requestId: "req-1", userId: "user-1", timestamp: now });
    expect(await reason({})).toBe("header_missing");
  });

  it("a fetcher that fails is no verdict", async () => {
    const jwks = (): never => {
      throw new Error("no network");
    };
    expect(await verifyWebhook({ headers, body, jwks, now })).toMatchObject({ ok: false, reason: "keys_unavailable" });
  });
});
