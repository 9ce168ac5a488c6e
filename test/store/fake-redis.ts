import { type Socket, createServer } from "node:net";
import { listenOnFreePort } from "../upstream.ts";

/** A server that speaks enough RESP to be connected to, and answers scripts as it is told: raw bytes, or undefined for silence. */
export interface FakeRedis {
  readonly port: number;
  /** Commands that arrived, names in upper case. */
  readonly commands: readonly (readonly string[])[];
  readonly answer: (script: (command: readonly string[]) => string | Uint8Array | undefined) => void;
  readonly close: () => Promise<void>;
}

export async function startFakeRedis(): Promise<FakeRedis> {
  const commands: string[][] = [];
  const sockets = new Set<Socket>();
  let script: (command: readonly string[]) => string | Uint8Array | undefined = () => "+OK\r\n";
  const server = createServer((socket) => {
    sockets.add(socket);
    let rest = "";
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => {
      const read = readCommands(rest + chunk.toString("latin1"));
      ({ rest } = read);
      for (const command of read.commands) {
        commands.push(command);
        const answer = greeting(command) ?? script(command);
        if (answer !== undefined) socket.write(answer);
      }
    });
  });
  const port = await listenOnFreePort(server);
  return {
    port,
    commands,
    answer: (given) => {
      script = given;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** What clients ask while they connect. */
function greeting([name]: readonly string[]): string | undefined {
  if (name === "HELLO") return "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";
  if (name === "INFO") return bulk("redis_version:7.0.0\r\nloading:0\r\n");
  if (name === "PING") return "+PONG\r\n";
  return name?.startsWith("EVAL") ? undefined : "+OK\r\n";
}

function bulk(text: string): string {
  return `$${Buffer.byteLength(text)}\r\n${text}\r\n`;
}

/** Whole commands (arrays of bulk strings), and what is left of the bytes. */
function readCommands(text: string): { commands: string[][]; rest: string } {
  const commands: string[][] = [];
  let at = 0;
  for (;;) {
    const read = readCommand(text, at);
    if (read === undefined) return { commands, rest: text.slice(at) };
    commands.push(read.command);
    at = read.end;
  }
}

function readCommand(text: string, start: number): { command: string[]; end: number } | undefined {
  let at = start;
  const line = (): string | undefined => {
    const end = text.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const read = text.slice(at + 1, end);
    at = end + 2;
    return read;
  };
  const count = line();
  if (count === undefined) return undefined;
  const command: string[] = [];
  for (let left = Number(count); left > 0; left -= 1) {
    const length = Number(line() ?? Number.NaN);
    if (Number.isNaN(length) || at + length + 2 > text.length) return undefined;
    command.push(text.slice(at, at + length));
    at += length + 2;
  }
  const [name = "", ...args] = command;
  return { command: [name.toUpperCase(), ...args], end: at };
}
