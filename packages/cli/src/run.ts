import { readFileSync } from "node:fs";
import { ProxyError, invalidOption } from "@keyway/core";

const help = `keyway: call fal.ai without giving your key away

  keyway serve       a gateway of its own, with your key behind it
  keyway emulator    a local fal.ai, without a key and without cost
  keyway doctor      looks at key, mount, WebSockets, store and webhooks, and says what to mend

  keyway <command> --help
  keyway --version

Exit codes: 0 fine, 1 it could not run or the doctor found a fault, 2 a setting is missing or wrong.`;

/** Runs one command and answers its exit code; mistakes in settings are one line on standard error. */
export async function run([command, ...args]: readonly string[]): Promise<number> {
  // Whoever reads may close the other end (EPIPE), or the disk be full: the gateway goes on without being heard.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
  try {
    return await runNamed(command, args);
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error;
    console.error(error.message);
    return 2;
  }
}

async function runNamed(command: string | undefined, args: readonly string[]): Promise<number> {
  switch (command) {
    case "serve":
      return (await import("./serve.ts")).serve(args);
    case "emulator":
      return (await import("@keyway/emulator/command")).startEmulator(args, "keyway emulator");
    case "doctor":
      return (await import("./doctor/doctor.ts")).doctor(args);
    case "--help":
    case "-h":
    case "help":
      console.log(help);
      return 0;
    case "--version":
    case "-v":
      console.log(readVersion());
      return 0;
    case undefined:
      console.error(help);
      return 2;
    default:
      throw invalidOption(`there is no command ${command}: there are serve, emulator and doctor`);
  }
}

function readVersion(): string {
  const manifest: { version: string } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return manifest.version;
}
