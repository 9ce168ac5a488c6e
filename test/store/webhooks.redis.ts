import { Agent, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { createEmulator } from "@keyway/emulator";
import { afterEach, describe, expect, it } from "vitest";
import { clientNames, freshNamespace, sharedRedis } from "./clients.ts";
import { type Worker, startWorker } from "./workers.ts";

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
    const submitted = await fetch(`http://127.0.0.1:${ports[0]}/`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-fal-target-url": "https://queue.fal.run/demo/echo" },
      body: "{}",
    });
    const { request_id: requestId } = (await submitted.json()) as { request_id: string };
    const delivery = await arrived.promise;
    const copies = Array.from({ length: 1000 }, (_, at) => post({ ...delivery, port: ports[at % 2] ?? 0 }));
    expect(new Set(await Promise.all(copies))).toEqual(new Set([200]));
    const told = await Promise.all(pair.map((worker) => worker.ask<unknown[]>({ do: "told" })));
    expect(told.flat()).toEqual([{ caller: "ann", requestId }]);
  });
});
