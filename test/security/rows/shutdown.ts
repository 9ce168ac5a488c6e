import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { openLine } from "../caller.ts";
import type { Field } from "../ground.ts";
import { type Play, toBytes } from "../row.ts";

export const shutdownRows: readonly Play[] = [
  { what: "SIGTERM during a stream: it runs to its end, and the process exits with 0", play: terminated },
];

async function terminated(field: Field): Promise<void> {
  const { ground, mount } = field;
  let end = (): void => undefined;
  ground.upstream.answer(({ response }) => {
    response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
    end = () => void response.end("data: 2\n\n");
  });
  const authority = Buffer.from(ground.authority.cert).toString("base64");
  const child = spawn(process.execPath, [
    "--conditions=@keyway/source",
    fileURLToPath(new URL("../shutdown.ts", import.meta.url)),
    mount.name,
    String(ground.upstream.port),
    authority,
  ]);
  const said = listen(child);
  const exited = once(child, "exit");
  try {
    const line = await openLine(await portOf(child, said), (bytes) => ground.watch.look(bytes));
    line.write(toBytes({ target: "https://fal.run/demo/echo/stream" }, field));
    await line.body(9);
    child.kill("SIGTERM");
    await new Promise((resolve) => setTimeout(resolve, 100));
    end();
    const reply = await line.reply();
    const drained = reply?.whole === true && reply.body.toString() === "data: 1\n\ndata: 2\n\n";
    const hostDrains = mount.transport === "web" || mount.limits?.draining !== undefined;
    expect([hostDrains || drained, await exited], said.join("")).toEqual([true, [0, null]]);
    expect(ground.watch.count(said.join(""))).toBe(0);
  } finally {
    child.kill("SIGKILL");
  }
}

/** The line that is a port; frameworks say other things before it. */
async function portOf({ stdout }: ChildProcess, said: readonly string[]): Promise<number> {
  for (;;) {
    const port = /^\d+$/m.exec(said.join(""))?.[0];
    if (port !== undefined) return Number(port);
    if (stdout !== null) await once(stdout, "data");
  }
}

function listen({ stdout, stderr }: ChildProcess): string[] {
  const said: string[] = [];
  for (const stream of [stdout, stderr]) stream?.on("data", (bytes) => said.push(String(bytes)));
  return said;
}
