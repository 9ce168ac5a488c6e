import { createServer } from "node:http";
import { type Keyway, type KeywayOptions, createKeyway } from "@keyway/core";
import { createNodeProxy } from "@keyway/node";
import { listen } from "../conformance/mount.ts";
import { type Stage, stage } from "../conformance/stage.ts";
import { toListener } from "../conformance/web-host.ts";
import type { Received } from "../wire.ts";
import { type Queue, createQueue } from "./queue.ts";

/** A proxy before a queue that does as the test says, and the instance behind it. */
export interface Guarded extends Stage {
  readonly keyway: Keyway;
  readonly queue: Queue;
}

export type Transport = "node" | "web";

export const transports: readonly Transport[] = ["node", "web"];

/** Starts both; they are stopped when the test is over. */
export async function guard(options: Partial<KeywayOptions> = {}, transport: Transport = "node"): Promise<Guarded> {
  let keyway: Keyway | undefined;
  const staged = await stage(
    {
      name: transport,
      transport,
      startMount(given) {
        const made = createKeyway(given);
        keyway = made;
        if (transport === "web") {
          const listener = toListener((request, context) => made.fetch(request, context));
          return listen(createServer(listener), made);
        }
        const proxy = createNodeProxy(made);
        const server = createServer((request, response) => void proxy.handle(request, response));
        const close = async (): Promise<unknown> => [await proxy.close(), await made.close()];
        return listen(server.on("upgrade", proxy.upgrade), { upgrade: proxy.upgrade, close });
      },
    },
    options,
  );
  if (keyway === undefined) throw new Error("no keyway was made");
  const queue = createQueue();
  staged.upstream.answer(queue.script);
  return { ...staged, keyway, queue };
}

/** An answer's JSON object. */
export function read({ body }: Received): Record<string, unknown> {
  return JSON.parse(body.toString()) as Record<string, unknown>;
}

/** The job id in a submit answer, as its caller knows it. */
export function idIn(answer: Received): string {
  const { request_id: id } = read(answer);
  if (answer.status !== 200 || typeof id !== "string") throw new Error(`${answer.status} ${answer.body.toString()}`);
  return id;
}

/** URLs of a job by the name that its caller knows. */
export function urlsOf(id: string, app = "demo/echo") {
  const job = `https://queue.fal.run/${app}/requests/${id}`;
  return { status: `${job}/status`, stream: `${job}/status/stream`, result: job, cancel: `${job}/cancel` };
}

export const get = { method: "GET" } as const;
export const put = { method: "PUT" } as const;
