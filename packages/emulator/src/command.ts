#!/usr/bin/env node
import { parseArgs } from "node:util";
import { createEmulator } from "./emulator.ts";

const help = `keyway-emulator: a local fal.ai, without a key and without cost

  keyway-emulator [--port 4100] [--host 127.0.0.1]

  --port   where to listen; 0 takes any free port
  --host   the address to listen on
  --help   this text

Point Keyway at it with KEYWAY_UPSTREAM=http://127.0.0.1:4100, or call it directly:

  curl -H "Authorization: Key any" -d '{"prompt":"hello"}' http://127.0.0.1:4100/fal.run/demo/echo

What it was asked: GET /__calls. What shall go wrong: POST /__faults.`;

interface Where {
  readonly port: number;
  readonly host: string;
}

/** Reads the arguments; a text is what to say instead of starting. */
function readArguments(): Where | { readonly text: string; readonly code: 0 | 2 } {
  try {
    const { values } = parseArgs({
      options: {
        port: { type: "string", default: "4100" },
        host: { type: "string", default: "127.0.0.1" },
        help: { type: "boolean", default: false, short: "h" },
      },
    });
    if (values.help) return { text: help, code: 0 };
    const port = Number(values.port);
    if (Number.isInteger(port) && port >= 0 && port <= 65_535 && values.port !== "") return { port, host: values.host };
    return { text: `--port takes a number from 0 to 65535, not "${values.port}".`, code: 2 };
  } catch (error) {
    return { text: `${messageOf(error)}\n\n${help}`, code: 2 };
  }
}

async function start(where: Where): Promise<void> {
  const emulator = createEmulator();
  try {
    const { url } = await emulator.listen(where);
    console.log(`The emulator answers for fal.ai at ${url}\nSet KEYWAY_UPSTREAM=${url}`);
  } catch (error) {
    console.error(toStartError(error, where));
    process.exitCode = 1;
    return;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void emulator.close());
  }
}

function toStartError(error: unknown, { port, host }: Where): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `Port ${port} of ${host} is taken. Free it, or choose another: --port ${port + 1}`;
  if (code === "EACCES") return `Port ${port} needs more rights than this process has. Choose one above 1023.`;
  return `The emulator could not listen on ${host}:${port}: ${messageOf(error)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const read = readArguments();
if ("text" in read) {
  (read.code === 0 ? console.log : console.error)(read.text);
  process.exitCode = read.code;
} else {
  await start(read);
}
