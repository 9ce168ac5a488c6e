import { createHash, createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it, vi } from "vitest";
import { createEmulator, type EmulatorOptions, type Fault, reply } from "./index.ts";

interface Arrival {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((close) => close()));
});

/** An emulator, and a receiver that answers these statuses one after another, then 200. */
async function bringUp({ statuses = [], ...options }: EmulatorOptions & { statuses?: number[] } = {}) {
  const emulator = createEmulator({ timeScale: 0, ...options });
  const { url } = await emulator.listen();
  const arrivals: Arrival[] = [];
  const receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      arrivals.push({ headers: request.headers, body: Buffer.concat(chunks) });
      response.writeHead(statuses.shift() ?? 200, { location: "/elsewhere" }).end();
    });
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => receiver.once("listening", resolve));
  closing.push(
    () => emulator.close(),
    () => new Promise((resolve) => receiver.close(resolve)),
  );
  const hook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook?a=1`;
  async function submit(app: string, input: unknown = {}, webhook = hook): Promise<Response> {
    const query = `fal_webhook=${encodeURIComponent(webhook)}`;
    const headers = { authorization: "Key any" };
    return fetch(`${url}/queue.fal.run/${app}?${query}`, { method: "POST", headers, body: JSON.stringify(input) });
  }
  /** So many have come, and their answers have been read. */
  const arrived = (count: number) =>
    vi.waitFor(
      () => {
        expect(arrivals).toHaveLength(count);
        expect(emulator.deliveries.length - told).toBe(count);
      },
      { timeout: 5000, interval: 5 },
    );
  let told = 0;
  const forget = (): void => {
    arrivals.length = 0;
    told = emulator.deliveries.length;
  };
  const jwks = async (): Promise<{ keys: [Record<string, string>] }> =>
    (await (await fetch(`${url}/rest.fal.ai/.well-known/jwks.json`)).json()) as never;
  return { emulator, url, arrivals, submit, arrived, forget, jwks };
}

async function isRight({ headers, body }: Arrival, jwks: { keys: [Record<string, string>] }): Promise<boolean> {
  const hash = createHash("sha256").update(body).digest("hex");
  const lines = ["request-id", "user-id", "timestamp"].map((name) => headers[`x-fal-webhook-${name}`]);
  const signature = Buffer.from(String(headers["x-fal-webhook-signature"]), "hex");
  const key = createPublicKey({ key: jwks.keys[0], format: "jwk" });
  return verify(null, Buffer.from([...lines, hash].join("\n")), key, signature);
}

it("a result comes signed, as Python writes JSON, to the URL as it was given", async () => {
  const stage = await bringUp();
  const { request_id: id } = (await (await stage.submit("demo/echo", { b: [1, "é"], a: null })).json()) as {
    request_id: string;
  };
  await stage.arrived(1);
  const [arrival] = stage.arrivals;
  expect(arrival?.body.toString()).toBe(
    `{"error": null, "gateway_request_id": "${id}", "payload": {"a": null, "b": [1, "\\u00e9"]}, "request_id": "${id}", "status": "OK"}`,
  );
  expect(arrival && (await isRight(arrival, await stage.jwks()))).toBe(true);
  expect(stage.emulator.deliveries).toMatchObject([{ requestId: id, endpoint: "demo/echo", attempt: 1, status: 200 }]);
  expect(await (await fetch(`${stage.url}/__deliveries`)).json()).toHaveLength(1);
});

it("an error carries the body of its answer, and what JSON cannot hold is named", async () => {
  const stage = await bringUp();
  stage.emulator.app("me/bad", () => reply({ status: 422, body: { detail: [{ msg: "no" }] } }));
  stage.emulator.app("me/bytes", () => reply({ body: new Uint8Array([1, 2]) }));
  await stage.submit("me/bad");
  await stage.arrived(1);
  await stage.submit("me/bytes");
  await stage.arrived(2);
  const [failed, unread] = stage.arrivals.map(({ body }) => JSON.parse(body.toString()));
  expect(failed).toMatchObject({
    status: "ERROR",
    error: "Invalid status code: 422",
    payload: { detail: [{ msg: "no" }] },
  });
  expect(unread).toMatchObject({ status: "OK", payload: null, payload_error: expect.stringContaining("not JSON") });
});

it("what is not taken comes again, 10 times at most; a redirect is the end", async () => {
  const stage = await bringUp({ statuses: [500, 401] });
  await stage.submit("demo/echo");
  await stage.arrived(3);
  expect(stage.emulator.deliveries.map(({ attempt, status }) => [attempt, status])).toEqual([
    [1, 500],
    [2, 401],
    [3, 200],
  ]);
  const refusing = await bringUp({ statuses: Array.from({ length: 50 }, () => 500) });
  await refusing.submit("demo/echo");
  await refusing.arrived(11);
  await vi.waitFor(() => expect(refusing.emulator.deliveries).toHaveLength(11));
  const moved = await bringUp({ statuses: [302] });
  await moved.submit("demo/echo");
  await vi.waitFor(() => expect(moved.emulator.deliveries).toMatchObject([{ status: 302 }]));
});

it("faults bend one delivery, and no call", async () => {
  const stage = await bringUp();
  const bend = async (delivery: NonNullable<Fault["delivery"]>, count: number): Promise<Arrival | undefined> => {
    stage.emulator.faults.add({ delivery });
    stage.forget();
    expect((await stage.submit("demo/echo", { a: 1 })).status).toBe(200);
    await stage.arrived(count);
    return stage.arrivals[0];
  };
  const jwks = await stage.jwks();
  const forged = await bend({ signature: "wrong" }, 1);
  expect(forged && (await isRight(forged, jwks))).toBe(false);
  const rewritten = await bend({ reserialised: true }, 1);
  expect(rewritten && (await isRight(rewritten, jwks))).toBe(false);
  expect((await bend({ account: "another" }, 1))?.headers["x-fal-webhook-user-id"]).toBe("another");
  const late = await bend({ lateSeconds: 400 }, 1);
  expect(Number(late?.headers["x-fal-webhook-timestamp"])).toBeLessThan(Date.now() / 1000 - 399);
  await bend({ copies: 5 }, 5);
  await bend({ lost: true }, 0);
  const { url } = stage;
  const body = '{"delivery":{"signature":"wrong"},"match":{"app":"demo/echo"}}';
  expect((await fetch(`${url}/__faults`, { method: "POST", body })).status).toBe(200);
  expect((await stage.submit("demo/echo", {}, "ftp://nowhere")).status).toBe(422);
});
