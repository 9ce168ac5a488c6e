import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";

const command = fileURLToPath(new URL("command.ts", import.meta.url));
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

interface Started {
  readonly child: ChildProcess;
  /** Exit code and everything printed. */
  readonly exit: Promise<{ code: number | null; text: string }>;
  /** Resolves with the first text printed. */
  readonly first: Promise<string>;
}

function start(...args: string[]): Started {
  const child = spawn(process.execPath, [command, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let text = "";
  const first = new Promise<string>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes("\n")) resolve(text);
      });
    }
  });
  const exit = once(child, "close").then(([code]: (number | null)[]) => ({ code: code ?? null, text }));
  return { child, exit, first };
}

test.each(["SIGINT", "SIGTERM"] as const)("it prints what to set, serves, and ends cleanly on %s", async (signal) => {
  const { child, exit, first } = start("--port", "0");
  const url = /KEYWAY_UPSTREAM=(http:\/\/127\.0\.0\.1:\d+)/.exec(await first)?.[1] ?? "";
  const headers = { authorization: "Key a" };
  expect((await fetch(`${url}/fal.run/demo/echo`, { method: "POST", headers, body: "{}" })).status).toBe(200);
  child.kill(signal);
  expect((await exit).code).toBe(0);
});

test("a taken port is a clear error", async () => {
  const port = /:(\d+)/.exec(await start("--port", "0").first)?.[1] ?? "";
  const { code, text } = await start("--port", port).exit;
  expect([code, text]).toEqual([
    1,
    `Port ${port} of 127.0.0.1 is taken. Free it, or choose another: --port ${Number(port) + 1}\n`,
  ]);
});

test.each([
  [["--help"], 0, /keyway-emulator \[--port 4100\]/],
  [["--port", "many"], 2, /--port takes a number/],
  [["--prot", "1"], 2, /--prot/],
])("%j", async (args, code, text) => {
  const ended = await start(...args).exit;
  expect(ended.code).toBe(code);
  expect(ended.text).toMatch(text);
});
