import { type RequestListener, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createJwks, verifyWebhook } from "@keyway/core/webhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type Signer, createSigner } from "./signer.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

const second = 1000;
const hour = 3600 * second;
const start = 1_767_225_600 * second;

/** Keys that can change and fail, with a clock to turn. */
async function bringUp(answer: RequestListener) {
  let fetches = 0;
  const server = createServer((request, response) => {
    fetches += 1;
    stage.answer(request, response);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  closing.push(() => new Promise((resolve) => (server.close(resolve), server.closeAllConnections())));
  const warn = vi.fn();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`;
  const jwks = createJwks({ url, warn, now: () => stage.now });
  const body = new TextEncoder().encode("{}");
  const stage = {
    answer,
    now: start,
    warn,
    url,
    jwks,
    fetches: () => fetches,
    async deliver(signer: Signer): Promise<boolean | string> {
      const now = Math.floor(stage.now / second);
      const verified = await verifyWebhook({ headers: signer.headers(body, { now }), body, jwks, now });
      return verified.ok || verified.reason;
    },
  };
  return stage;
}

function keysOf(...signers: Signer[]): RequestListener {
  return (_request, response) => response.end(JSON.stringify({ keys: signers.flatMap(({ jwks }) => jwks.keys) }));
}

const status =
  (code: number, headers = {}): RequestListener =>
  (_request, response) =>
    response.writeHead(code, headers).end("{}");

describe("the key set", () => {
  const [good, other] = [createSigner(), createSigner()];

  it("K08: an unknown key is asked about once, then not for 30 seconds", async () => {
    const stage = await bringUp(keysOf(good));
    expect(await stage.deliver(good)).toBe(true);
    expect(await stage.deliver(other)).toBe("signature_wrong");
    expect(stage.fetches()).toBe(1);
    stage.now += 31 * second;
    expect(await stage.deliver(other)).toBe("signature_wrong");
    expect(await stage.deliver(other)).toBe("signature_wrong");
    expect(stage.fetches()).toBe(2);
  });

  it("K09, K10, K13: a flood of forged deliveries fetches 3 times a minute, and all good ones pass", async () => {
    const stage = await bringUp(keysOf(good));
    const answers: unknown[] = [];
    for (let at = 0; at < 60; at += 1) {
      const forged = Array.from({ length: 10 }, () => stage.deliver(other));
      answers.push(await stage.deliver(good));
      expect(new Set(await Promise.all(forged))).toEqual(new Set(["signature_wrong"]));
      stage.now += second;
    }
    expect(answers).toEqual(Array.from({ length: 60 }, () => true));
    expect(stage.fetches()).toBeLessThanOrEqual(3);
  });

  it("K11, K12: empty sets, errors and resets leave the old keys, for 24 hours", async () => {
    const bad: RequestListener[] = [
      keysOf(),
      status(500),
      (request) => request.destroy(),
      (_request, response) => response.end("not JSON"),
      (_request, response) => response.end('{"keys":"nope"}'),
    ];
    const stage = await bringUp(keysOf(good));
    expect(await stage.deliver(good)).toBe(true);
    for (const answer of bad) {
      stage.answer = answer;
      stage.now += 2 * hour;
      const before = stage.fetches();
      expect(await stage.deliver(good)).toBe(true);
      expect(await stage.deliver(other)).toBe("signature_wrong");
      expect(await stage.deliver(other)).toBe("signature_wrong");
      expect(stage.fetches()).toBe(before + 1);
    }
    stage.now = start + 24 * hour + second;
    expect(await stage.deliver(good)).toBe("keys_unavailable");
    stage.answer = keysOf(good);
    stage.now += 31 * second;
    expect(await stage.deliver(good)).toBe(true);
    expect(stage.warn).toHaveBeenCalledTimes(1);
  });

  it("K14: a redirect is not followed", async () => {
    const elsewhere = await bringUp(keysOf(good));
    const stage = await bringUp((_request, response) => response.writeHead(302, { location: elsewhere.url }).end());
    expect(await stage.deliver(good)).toBe("keys_unavailable");
    expect(elsewhere.fetches()).toBe(0);
  });

  it("K15: it is fetched over https", () => {
    for (const url of [
      "http://rest.fal.ai/.well-known/jwks.json",
      "file:///etc/passwd",
      "nonsense",
      "http://127.0.0.1.evil.example/",
    ])
      expect(() => createJwks({ url })).toThrow(/https/);
  });

  it("K16: a set that is too large is cut, one that is too slow given up", { timeout: 15_000 }, async () => {
    const large = await bringUp((_request, response) => {
      response.write('{"keys":[');
      const piece = "0,".repeat(8192);
      const more = (): void => {
        while (!response.destroyed && response.write(piece));
      };
      response.on("drain", more);
      more();
    });
    const sent = performance.now();
    expect(await large.deliver(good)).toBe("keys_unavailable");
    expect(performance.now() - sent).toBeLessThan(4500);
    const slow = await bringUp((_request, response) => void response.write('{"keys":['));
    expect(await slow.deliver(good)).toBe("keys_unavailable");
  });

  it("K17: more than 16 keys are told", async () => {
    const stage = await bringUp(keysOf(good, ...Array.from({ length: 16 }, () => other)));
    expect(await stage.deliver(good)).toBe(true);
    expect(stage.warn).toHaveBeenCalledWith(expect.stringContaining("17 keys"));
  });

  it("K18: a removed key ends with the next refresh", async () => {
    const stage = await bringUp(keysOf(good, other));
    expect(await stage.deliver(other)).toBe(true);
    stage.answer = keysOf(good);
    stage.now += 2 * hour;
    await stage.deliver(other); // starts the refresh beside its work
    await vi.waitFor(async () => expect(await stage.deliver(other)).toBe("signature_wrong"), { timeout: 15_000 });
    expect(stage.fetches()).toBe(2);
  });

  it("K19: a new key is accepted within 30 seconds", async () => {
    const stage = await bringUp(keysOf(good));
    expect(await stage.deliver(good)).toBe(true);
    stage.answer = keysOf(good, other);
    expect(await stage.deliver(other)).toBe("signature_wrong");
    stage.now += 31 * second;
    expect(await stage.deliver(other)).toBe(true);
  });

  it("many deliveries at once fetch once", async () => {
    const stage = await bringUp(keysOf(good));
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => stage.deliver(good))))).toEqual(new Set([true]));
    expect(stage.fetches()).toBe(1);
  });
});
