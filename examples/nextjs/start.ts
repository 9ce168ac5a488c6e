import { spawn } from "node:child_process";
import { connect, createServer } from "node:net";
import { fileURLToPath } from "node:url";

/** Starts `next start`, or `next dev` with --dev, and beside it an emulator of fal.ai where nothing else is there to call. */
const isDev = process.argv.includes("--dev");
const host = process.env["HOST"] || "127.0.0.1";
const port = await findPort(process.env["PORT"] || "3000");
const publicUrl = process.env["PUBLIC_URL"] || `http://${host === "0.0.0.0" ? "localhost" : host}:${port}`;
const upstream = await findUpstream();

const next = fileURLToPath(import.meta.resolve("next/dist/bin/next"));
const app = spawn(process.execPath, [next, isDev ? "dev" : "start", "--port", String(port), "--hostname", host], {
  cwd: import.meta.dirname,
  stdio: "inherit",
  env: {
    ...process.env,
    NEXT_TELEMETRY_DISABLED: "1",
    PUBLIC_URL: publicUrl,
    ...(upstream.url && { KEYWAY_UPSTREAM: upstream.url }),
  },
});
let leaving = false;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => (leaving = app.kill(signal)));
app.on("exit", (code) => {
  void upstream.close().then(() => process.exit(leaving ? 0 : (code ?? 1)));
});

await answers();
console.log(`Keyway's example is at ${publicUrl}`);
console.log(`Calls go to ${upstream.name}.`);

interface Upstream {
  readonly name: string;
  readonly url?: string;
  close(): Promise<void>;
}

/** The emulator that `KEYWAY_UPSTREAM` names, else fal.ai when there is a key, else an emulator of our own. */
async function findUpstream(): Promise<Upstream> {
  const close = async (): Promise<void> => undefined;
  const { KEYWAY_UPSTREAM: url, FAL_KEY, FAL_KEY_ID, FAL_KEY_SECRET, NODE_ENV } = process.env;
  if (url) {
    if (/^http:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?\/?$/.test(url))
      return { name: `the emulator at ${url}`, url, close };
    return fail(`KEYWAY_UPSTREAM takes a loopback address such as http://127.0.0.1:4100, not "${url}".`);
  }
  if (FAL_KEY || (FAL_KEY_ID && FAL_KEY_SECRET)) return { name: "fal.ai, with the key of the environment", close };
  if (NODE_ENV === "production") return fail("FAL_KEY is not set. In production this app calls fal.ai and needs it.");
  const { createEmulator } = await import("@keyway/emulator");
  const emulator = createEmulator();
  const { url: own } = await emulator.listen();
  return {
    name: `a local emulator at ${own}, because FAL_KEY is not set`,
    url: own,
    close: () => emulator.close(),
  };
}

/** The port asked for, or a free one for 0: the app must know its own address before it starts. */
async function findPort(text: string): Promise<number> {
  const asked = Number(text);
  if (!Number.isInteger(asked) || asked < 0 || asked > 65_535)
    return fail(`PORT takes a number from 0 to 65535, not "${text}".`);
  const probe = createServer();
  await new Promise<void>((resolve) => {
    probe.once("error", () => fail(`Port ${asked} is taken. Free it, or choose another: PORT=${asked + 1}`));
    probe.listen(asked, host, resolve);
  });
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === "object" && address !== null ? address.port : asked;
}

/** Resolves when the app takes connections. */
async function answers(): Promise<void> {
  for (;;) {
    const socket = connect({ port, host });
    const isOpen = await new Promise((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function fail(message: string): never {
  console.error(message);
  process.exit(1);
}
