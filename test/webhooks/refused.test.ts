import { connect } from "node:net";
import express from "express";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { bodyOf, bringUp, falIdOf, queryOf, reasons, seed, signer, told, unlogged, until } from "./deliveries.ts";
import { createSigner } from "./signer.ts";

// K27 has no test: nothing that is compared here is secret. Ed25519 is verified with public values, and the tag in the URL is opened by
// AES-GCM of the platform, which compares in constant time.
// K09's rate limit of verifying is left out: a forged delivery costs one SHA-256 of its body and one verification per key.
async function rawPost(url: string, rest: string): Promise<string> {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write(`POST /api/fal/webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${rest}`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

describe("refused", () => {
  it("K26: forged, late and re-serialised are 401 with one body; why is in observe", async () => {
    const log = unlogged();
    const stage = await bringUp({ emulator: { timeScale: 0 } });
    const faults = [
      { signature: "wrong" },
      { lateSeconds: 301 },
      { lateSeconds: -301 },
      { reserialised: true },
    ] as const;
    for (const [index, delivery] of faults.entries()) {
      stage.emulator.faults.add({ delivery });
      await stage.submit("demo/echo", { n: 1 });
      await until(() => expect(told(stage)).toHaveLength(11 * (index + 1)));
    }
    const kinds = new Set(told(stage).map(({ outcome, reason, status }) => `${outcome} ${reason} ${status}`));
    expect(kinds).toEqual(new Set(["refused signature_wrong 401", "refused timestamp_outside_window 401"]));
    const [sent] = stage.emulator.deliveries;
    const forged = await stage.post(sent?.headers ?? {}, sent?.body ?? "");
    const none = await stage.post({}, "{}");
    expect(none).toEqual(forged);
    expect(JSON.parse(none.text)).toEqual({
      code: "delivery_refused",
      message: expect.any(String),
      detail: expect.any(String),
    });
    expect(stage.events).toEqual([]);
    expect(log).not.toHaveBeenCalled();
  });

  it("K20: after a body parser it is one clear error, and the line to write is in the log", async () => {
    const log = unlogged();
    const stage = await bringUp({ before: express.json(), emulator: { timeScale: 0 } });
    await stage.submit("demo/echo");
    await until(() => expect(stage.emulator.deliveries[0]?.status).toBe(500));
    expect(log).toHaveBeenCalledWith(expect.stringContaining('app.post("/api/fal/webhook", proxy.webhook)'));
    expect(stage.events).toEqual([]);
    const raw = await bringUp({ before: express.raw({ type: "*/*" }) });
    await raw.submit("demo/echo");
    expect(await raw.event()).toMatchObject({ status: "OK" });
  });

  it("K21: more than 10 MiB is 413 before it is read", async () => {
    const stage = await bringUp();
    const body = new Uint8Array(10 * 1024 * 1024 + 1);
    expect(await stage.post(createSigner().headers(body), body)).toMatchObject({ status: 413 });
    expect(told(stage).at(-1)).toMatchObject({ outcome: "refused", code: "body_too_large" });
  });

  it("K22: only POST", async () => {
    const stage = await bringUp();
    for (const method of ["GET", "PUT", "DELETE"]) {
      const response = await fetch(`${stage.url}/api/fal/webhook`, { method });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
    }
  });

  it("K23: a compressed delivery is 415: it is signed as sent", async () => {
    const stage = await bringUp();
    expect(await stage.post({ "content-encoding": "gzip" }, "{}")).toMatchObject({ status: 415 });
  });

  it("K24: a body that stops coming is 408", async () => {
    const stage = await bringUp({ keyway: { timeouts: { callerBody: 100 } } });
    const body = Buffer.from("{}");
    const slow = new ReadableStream({ start: (controller) => controller.enqueue(body) });
    const headers = createSigner().headers(body);
    const init = { method: "POST", headers, body: slow, duplex: "half" } as RequestInit;
    expect((await fetch(`${stage.url}/api/fal/webhook`, init)).status).toBe(408);
  });

  it("K25: a signature that is sent twice is 400", async () => {
    const stage = await bringUp();
    const headers = Object.entries(createSigner().headers(Buffer.from("{}")));
    const lines = [...headers, headers[3] ?? ["", ""]].map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const answer = await rawPost(stage.url, `${lines}content-length: 2\r\n\r\n{}`);
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(reasons(stage).at(-1)).toEqual(["refused", "header_repeated", 400]);
  });

  it("K29, K33: another id in the body, or no JSON, is 400 and not handled", async () => {
    const stage = await bringUp({ emulator: { seed } });
    stage.emulator.faults.add({ delivery: { lost: true } });
    const id = await stage.submit("demo/echo");
    for (const [text, reason] of [
      [bodyOf("another.1234567890123456789012", { status: "OK" }), "other_request"],
      [Buffer.from("not JSON"), undefined],
      [Buffer.from([0xff, 0xfe]), undefined],
      [Buffer.from("[]"), undefined],
      [bodyOf(id, { status: "MAYBE" }), undefined],
    ] as const) {
      const headers = signer.headers(text, { requestId: falIdOf(id) });
      expect(await stage.post(headers, text, queryOf(stage))).toMatchObject({ status: 400 });
      expect(reasons(stage).at(-1)).toEqual(["refused", reason, 400]);
    }
    expect(stage.events).toEqual([]);
  });

  it("K12: without keys it is 503, and told when there are keys again", async () => {
    const log = unlogged();
    const warnings = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    onTestFinished(() => warnings.mockRestore());
    const stage = await bringUp();
    stage.emulator.faults.add({ match: { kind: "jwks" }, status: 500, times: "always" });
    await stage.submit("demo/echo");
    await until(() => expect(stage.emulator.deliveries[0]?.status).toBe(503));
    expect(reasons(stage)[0]).toEqual(["failed", "keys_unavailable", 503]);
    expect(log).toHaveBeenCalledWith(expect.stringContaining("fal's keys are not to be had"));
    expect(warnings).toHaveBeenCalledWith(expect.stringContaining("key set could not be fetched"));
    expect(stage.events).toEqual([]);
    await until(async () => expect(await stage.keyway.settle()).toBe(1));
    expect(stage.events).toHaveLength(1);
  });

  it("without the option it is 500, with the line to write in the log, which no stranger can fill", async () => {
    const log = unlogged();
    const stage = await bringUp({ keyway: { webhooks: undefined } });
    for (let times = 0; times < 5; times += 1) expect(await stage.post({}, "{}")).toMatchObject({ status: 500 });
    expect(log).toHaveBeenCalledTimes(1);
    expect(log).toHaveBeenCalledWith(expect.stringContaining("option webhooks"));
  });
});
