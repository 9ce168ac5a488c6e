import { parseArgs } from "node:util";
import { createEmulator } from "./emulator.ts";

function toHelp(calledAs: string): string {
  return `${calledAs}: a local fal.ai, without a key and without cost

  ${calledAs} [--port 4100] [--host 127.0.0.1]

  --port   where to listen; 0 takes any free port
  --host   the address to listen on
  --help   this text

Point Keyway at it with KEYWAY_UPSTREAM=http://127.0.0.1:4100, or call it directly:

  curl -H "Authorization: Key any" -d '{"prompt":"hello"}' http://127.0.0.1:4100/fal.run/demo/echo

What it was asked: GET /__calls. What shall go wrong: POST /__faults.

Exit codes: 0 ended by a signal, 1 it could not listen, 2 wrong arguments.`;
}

interface Where {
  readonly port: number;
  readonly host: string;
}

/**
 * The emulator's command: reads its arguments, says where it listens, and closes it on SIGINT and SIGTERM. Answers the exit code as
 * soon as it listens, or does not. `calledAs` is how the command calls itself.
 */
export async function startEmulator(args: readonly string[], calledAs: string): Promise<0 | 1 | 2> {
  const read = readArguments(args, calledAs);
  if ("text" in read) {
    (read.code === 0 ? console.log : console.error)(read.text);
    return read.code;
  }
  return listen(read);
}

/** A text is what to say instead of starting. */
function readArguments(
  args: readonly string[],
  calledAs: string,
): Where | { readonly text: string; readonly code: 0 | 2 } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        port: { type: "string", default: "4100" },
        host: { type: "string", default: "127.0.0.1" },
        help: { type: "boolean", default: false, short: "h" },
      },
    });
    if (values.help) return { text: toHelp(calledAs), code: 0 };
    const port = Number(values.port);
    if (Number.isInteger(port) && port >= 0 && port <= 65_535 && values.port !== "") return { port, host: values.host };
    return { text: `--port takes a number from 0 to 65535, not "${values.port}".`, code: 2 };
  } catch (error) {
    return { text: `${messageOf(error)}\n\n${toHelp(calledAs)}`, code: 2 };
  }
}

async function listen(where: Where): Promise<0 | 1> {
  const emulator = createEmulator();
  try {
    const { url } = await emulator.listen(where);
    console.log(`The emulator answers for fal.ai at ${url}\nSet KEYWAY_UPSTREAM=${url}`);
  } catch (error) {
    console.error(toListenError(error, where, "The emulator"));
    return 1;
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => void emulator.close());
  }
  return 0;
}

/** Why a command cannot listen, with the mend. */
export function toListenError(error: unknown, { port, host }: Where, who: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE") return `Port ${port} of ${host} is taken. Free it, or choose another: --port ${port + 1}`;
  if (code === "EACCES") return `Port ${port} needs more rights than this process has. Choose one above 1023.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `${host} is no address of this machine. Choose one: --host 127.0.0.1, or --host 0.0.0.0 for all`;
  return `${who} could not listen on ${host}:${port}: ${messageOf(error)}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
