import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Emulator, createEmulator } from "@keyway/emulator";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it, vi } from "vitest";
import { type ClientName, clientNames, freshNamespace, sharedRedis } from "./clients.ts";
import { freePort } from "./redis-server.ts";
import { type Moment, type Start, type Worker, startWorker } from "./workers.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

interface Copy {
  readonly port: number;
  readonly path: string;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}

const agent = new Agent({ maxSockets: 200 });

function post({ port, path, headers, body }: Copy): Promise<number> {
  return new Promise((resolve, reject) => {
    request({ port, path, headers, agent, method: "POST", host: "127.0.0.1" }, (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? 0));
    })
      .on("error", reject)
      .end(body);
  });
}

/** Answers the id that the caller holds. */
async function submitTo(port: number, endpoint: string): Promise<string> {
  const submitted = await fetch(`http://127.0.0.1:${port}/`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-fal-target-url": `https://queue.fal.run/${endpoint}` },
    body: "{}",
  });
  return ((await submitted.json()) as { request_id: string }).request_id;
}

describe.each(clientNames)("two processes on one Redis by %s", (client) => {
  it("K04: 1,000 copies of a delivery in parallel are told once, to the right caller", async () => {
    const emulator = createEmulator({ timeScale: 0 });
    const upstream = { url: (await emulator.listen()).url, key: "emulator" };
    const start = { client, port: sharedRedis(), namespace: freshNamespace(), upstream };
    const pair: Worker[] = await Promise.all([startWorker(start), startWorker(start)]);
    const arrived = Promise.withResolvers<Omit<Copy, "port">>();
    const spreader = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        arrived.resolve({ path: incoming.url ?? "", headers: incoming.headers, body: Buffer.concat(chunks) });
        response.end();
      });
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => spreader.once("listening", resolve));
    closing.push(
      async () => Promise.all(pair.map((worker) => worker.kill())),
      async () => new Promise((resolve) => spreader.close(resolve)),
      () => emulator.close(),
    );
    const webhookUrl = `http://127.0.0.1:${(spreader.address() as AddressInfo).port}/hook`;
    const ports = await Promise.all(pair.map((worker) => worker.ask<number>({ do: "serve", webhookUrl })));
    const requestId = await submitTo(ports[0] ?? 0, "demo/echo");
    const delivery = await arrived.promise;
    const copies = Array.from({ length: 1000 }, (_, at) => post({ ...delivery, port: ports[at % 2] ?? 0 }));
    expect(new Set(await Promise.all(copies))).toEqual(new Set([200]));
    const told = await Promise.all(pair.map((worker) => worker.ask<unknown[]>({ do: "told" })));
    expect(told.flat()).toEqual([{ caller: "ann", requestId }]);
  });
});

/** A job whose delivery was under way when its process died, and a new process in its place: same port, same Redis. */
interface Aftermath {
  readonly id: string;
  readonly port: number;
  readonly emulator: Emulator;
  /** What the app was told before the death, and since; ids of jobs. */
  readonly toldBefore: readonly string[];
  readonly told: () => readonly string[];
  /** What stands in Redis of the delivery. */
  readonly claim: () => Promise<string | null>;
  /** Lets the time of the claim go by. */
  readonly outlast: () => Promise<void>;
  readonly refusedClaims: () => Promise<number>;
}

async function dieAt(dies: Moment, client: ClientName): Promise<Aftermath> {
  const emulator = createEmulator({ queuedMs: 0, runningMs: 0, timeScale: 0.2 });
  const upstream = { url: (await emulator.listen()).url, key: "emulator" };
  const submitted = Promise.withResolvers<void>();
  emulator.app("demo/held", async () => submitted.promise);
  const start: Start = { client, port: sharedRedis(), namespace: freshNamespace(), upstream };
  const folder = mkdtempSync(join(tmpdir(), "keyway-ledger-"));
  const ledger = join(folder, "told");
  writeFileSync(ledger, "");
  const told = (): string[] => readFileSync(ledger, "utf8").split("\n").slice(0, -1);
  const admin = new Redis(sharedRedis(), "127.0.0.1");
  const port = await freePort();
  const serving = { do: "serve", webhookUrl: `http://127.0.0.1:${port}/hook`, port, ledger } as const;
  const first = await startWorker(start);
  closing.push(
    () => first.kill(),
    () => emulator.close(),
    async () => admin.disconnect(),
    async () => rmSync(folder, { recursive: true }),
  );
  await first.ask({ ...serving, dies });
  const id = await submitTo(port, "demo/held");
  submitted.resolve();
  expect(await first.gone).toBe("SIGKILL");
  const toldBefore = told();
  const second = await startWorker(start);
  closing.unshift(() => second.kill());
  await second.ask(serving);
  const claimKey = async (): Promise<string> =>
    (await admin.keys(`*${start.namespace}*:delivery:*`)).join(" and ") || "none";
  return {
    id,
    port,
    emulator,
    toldBefore,
    told,
    claim: async () => admin.get(await claimKey()),
    async outlast() {
      const key = await claimKey();
      expect(await admin.pttl(key)).toBeLessThanOrEqual(10 * 60_000);
      expect(await admin.pexpire(key, 1)).toBe(1);
    },
    refusedClaims: () => second.ask<number>({ do: "refused claims" }),
  };
}

/** The delivery is taken, and a further copy changes nothing. */
async function expectTaken({ emulator, port }: Aftermath): Promise<void> {
  const last = await until(() => {
    const delivery = emulator.deliveries.at(-1);
    expect(delivery?.status).toBe(200);
    return delivery;
  });
  if (last === undefined) return;
  const { pathname, search } = new URL(last.url);
  const copy = { port, path: pathname + search, headers: last.headers, body: Buffer.from(last.body) };
  expect(await post(copy)).toBe(200);
}

function until<T>(check: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(check, { timeout: 20_000, interval: 20 });
}

describe.each(clientNames)("a process killed while it takes a delivery, on a Redis by %s", (client) => {
  it("F27: that had not claimed it loses nothing: the next try is told, once", async () => {
    const after = await dieAt("claim", client);
    expect(after.toldBefore).toEqual([]);
    await expectTaken(after);
    expect(after.told()).toEqual([after.id]);
  });

  it("F27: that had claimed it and not told it: the app is told once, when the claim is over", async () => {
    const after = await dieAt("tell", client);
    expect([after.toldBefore, await after.claim()]).toEqual([[], ""]);
    await until(async () => expect(await after.refusedClaims()).toBeGreaterThan(2));
    expect(after.told()).toEqual([]);
    await after.outlast();
    await expectTaken(after);
    expect(after.told()).toEqual([after.id]);
  });

  it("F27: that had told it and not marked it: not told again while the claim stands, then rather again than never", async () => {
    const after = await dieAt("mark", client);
    expect([after.toldBefore, await after.claim()]).toEqual([[after.id], ""]);
    await until(async () => expect(await after.refusedClaims()).toBeGreaterThan(2));
    expect(after.told()).toEqual([after.id]);
    await after.outlast();
    await expectTaken(after);
    expect(after.told()).toEqual([after.id, after.id]);
  });

  it("F27: that had marked it and not answered: the next try is answered, and the app not told again", async () => {
    const after = await dieAt("answer", client);
    expect([after.toldBefore, await after.claim()]).toEqual([[after.id], "OK"]);
    await expectTaken(after);
    expect(after.told()).toEqual([after.id]);
  });
});
