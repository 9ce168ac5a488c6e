import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A Redis of our own: loopback only, nothing on disk but a temporary directory. */
export interface RedisServer {
  readonly port: number;
  /** Ends it; `start` brings it back on the same port, empty. */
  readonly stop: () => Promise<void>;
  readonly start: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const program = process.env["REDIS_SERVER"] ?? "redis-server";

/** What `redis-server --version` (or Valkey's) says, undefined when there is none. */
export function redisVersion(server: string = program): string | undefined {
  const { status, stdout } = spawnSync(server, ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

export function startRedis(...more: string[]): Promise<RedisServer> {
  return startServer(program, ...more);
}

/** A server of the same settings from this program. */
export async function startServer(server: string, ...more: string[]): Promise<RedisServer> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), "keyway-redis-"));
  const settings = [
    "--port",
    String(port),
    "--bind",
    "127.0.0.1",
    "--dir",
    directory,
    "--save",
    "",
    "--appendonly",
    "no",
  ];
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    child = spawn(server, [...settings, ...more], { stdio: "ignore" });
    await answering(port);
  }
  async function stop(): Promise<void> {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null) return;
    const gone = once(running, "exit");
    running.kill("SIGKILL");
    await gone;
  }
  await start();
  return {
    port,
    start,
    stop,
    async close() {
      await stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Until something listens. */
async function answering(port: number): Promise<void> {
  for (let left = 200; left > 0; left -= 1) {
    const socket = connect(port, "127.0.0.1");
    const opened = await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    });
    socket.destroy();
    if (opened) return;
    await new Promise((resolve) => {
      setTimeout(resolve, 20);
    });
  }
  throw new Error("redis-server did not start");
}
