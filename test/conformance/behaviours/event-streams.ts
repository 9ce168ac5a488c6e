import { once } from "node:events";
import { type Socket, connect } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type Script, always } from "../../upstream.ts";
import { valueIn } from "../../wire.ts";
import { digest } from "../bytes.ts";
import type { Mount, Mounted } from "../mount.ts";
import { type Stage, run, stage, stream } from "../stage.ts";
import { within } from "./leaving.ts";

const eventStream = { "content-type": "text/event-stream" };
const megabyte = 1024 * 1024;

/** Server-sent events by the numbers of the security catalogue (E14, a longest time for streams, is not offered). */
export function eventStreams(mount: Mount): void {
  describe("event streams", () => {
    it("E06 heartbeats alone keep a stream open", async () => {
      const { upstream, open } = await stage(mount, { timeouts: { streamIdle: 300 } });
      upstream.answer(({ response }) => {
        response.writeHead(200, eventStream);
        const beat = setInterval(() => response.write(":\n\n"), 50);
        setTimeout(() => {
          clearInterval(beat);
          response.end("data: end\n\n");
        }, 900);
      });
      const { body, broken } = await (await open(stream)).rest();
      expect(broken).toBe(false);
      expect(body.toString()).toMatch(/^(?::\n\n){10,}data: end\n\n$/);
    });

    it.each([
      ["E07 text cut at every byte", 'data: {"a":"é€😀"}\n\n', 1],
      ["E08 line ends of every kind", "data: a\r\rdata: b\r\n\r\ndata: c\n\n", 3],
      ["E09 a byte order mark first", "\uFEFFdata: a\n\n", 2],
    ])("%s", async (_name, text, size) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(inPieces(Buffer.from(text), size));
      expect((await ask(stream)).body.toString("hex")).toBe(Buffer.from(text).toString("hex"));
    });

    it.each([
      ["E10 one event of 1 MiB", megabyte],
      ["E22 10 MiB without a line end", 10 * megabyte],
    ])("%s", async (_name, length) => {
      const { upstream, ask } = await stage(mount);
      const event = Buffer.from(`data: ${"a".repeat(length)}\n\n`);
      upstream.answer(always(200, eventStream, event));
      expect(digest((await ask(stream)).body)).toBe(digest(event));
    });

    it("E11 Last-Event-ID crosses", async () => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(200, eventStream, "data: 8\n\n"));
      await ask(stream, { headers: [["last-event-id", "7"]] });
      expect(upstream.arrivals[0]?.values("last-event-id")).toEqual(["7"]);
    });

    it("E12 what compresses and buffers on the way is told to leave streams alone", async () => {
      const { upstream, open } = await stage(mount);
      upstream.answer(({ response }) => response.writeHead(200, eventStream).write("data: 1\n\n"));
      const incoming = await open(stream, { headers: [["accept-encoding", "gzip, br"]] });
      expect(valueIn(incoming.headers, "cache-control")).toContain("no-transform");
      expect(valueIn(incoming.headers, "x-accel-buffering")).toBe("no");
      expect(valueIn(incoming.headers, "content-encoding")).toBeUndefined();
      expect(String(await incoming.read())).toBe("data: 1\n\n");
      incoming.leave();
    });

    it("E13 silence is a visible break, and upstream is closed", async () => {
      const { upstream, open } = await stage(mount, { timeouts: { streamIdle: 300 } });
      upstream.answer(({ response }) => response.writeHead(200, eventStream).write("data: 1\n\n"));
      const { body, broken } = await (await open(stream)).rest();
      expect([body.toString(), broken]).toEqual(["data: 1\n\n", true]);
      expect(await within(upstream.arrivals[0]?.closed)).toBe(true);
    });

    it("E15 a caller who does not read stops upstream", async () => {
      const { upstream, open } = await stage(mount);
      const written = whileTaken(upstream);
      const incoming = await open(stream);
      expect(await written).toBeLessThan(40 * megabyte);
      incoming.leave();
    });

    it.each([
      ["E16 an error in place of a stream", 422, {}],
      ["E17 429 before the first event", 429, { "retry-after": "5" }],
    ])("%s", async (_name, status, headers) => {
      const { upstream, ask } = await stage(mount);
      upstream.answer(always(status, { "content-type": "application/json", ...headers }, '{"detail":"no"}'));
      const answer = await ask(stream);
      expect([answer.status, answer.body.toString()]).toEqual([status, '{"detail":"no"}']);
      expect(valueIn(answer.headers, "retry-after")).toBe(status === 429 ? "5" : undefined);
    });

    it("E18 1,000 streams of 100 events: nothing is lost, and all in order", { timeout: 60_000 }, async () => {
      const staged = await stage(mount);
      staged.upstream.answer(hundred);
      const expected = Array.from({ length: 100 }, (_, index) => `data: ${index}\n\n`).join("");
      for (let batch = 0; batch < 10; batch += 1) {
        const answers = await Promise.all(Array.from({ length: 100 }, () => staged.ask(stream)));
        for (const { body, broken } of answers) expect([body.toString(), broken]).toEqual([expected, false]);
      }
    });

    it("E19 a caller who has said all and still reads gets the whole answer, or a break", async () => {
      const staged = await stage(mount);
      staged.upstream.answer(inPieces(Buffer.from("data: 1\n\ndata: 2\n\n"), 9));
      const text = await halfClose(staged);
      const isWhole = text.includes("data: 1\n\n") && text.includes("data: 2\n\n") && text.endsWith("0\r\n\r\n");
      const isBroken = !text.endsWith("0\r\n\r\n");
      expect(isWhole || isBroken).toBe(true);
    });

    it("E20 E21 the caller leaves: upstream knows within two seconds", async () => {
      const { upstream, open } = await stage(mount);
      upstream.answer(({ response }) => response.writeHead(200, eventStream).write("data: 1\n\n"));
      const incoming = await open(stream);
      await incoming.read();
      incoming.leave();
      expect(await within(upstream.arrivals[0]?.closed)).toBe(true);
    });

    it("E23 a coded stream arrives as the caller can read it", async () => {
      const { upstream, ask } = await stage(mount);
      const text = "data: 1\n\ndata: 2\n\n";
      upstream.answer(({ response, values }) => {
        const coded = values("accept-encoding").join().includes("gzip");
        response.writeHead(200, { ...eventStream, ...(coded ? { "content-encoding": "gzip" } : {}) });
        response.end(coded ? gzipSync(text) : text);
      });
      const answer = await ask(run, { headers: [["accept-encoding", "gzip"]] });
      const coded = valueIn(answer.headers, "content-encoding") === "gzip";
      expect(answer.body.equals(coded ? gzipSync(text) : Buffer.from(text))).toBe(true);
    });
  });
}

/** Writes piece by piece, each when the one before has left. */
function inPieces(bytes: Buffer, size: number): Script {
  return ({ response }) => {
    response.writeHead(200, eventStream);
    const write = (at: number): void => {
      if (at >= bytes.length) return void response.end();
      response.write(bytes.subarray(at, at + size), () => setImmediate(write, at + size));
    };
    write(0);
  };
}

const hundred: Script = ({ response }) => {
  response.writeHead(200, eventStream);
  const write = (index: number): void => {
    if (index === 100) return void response.end();
    response.write(`data: ${index}\n\n`);
    if (index % 10 === 9) setImmediate(write, index + 1);
    else write(index + 1);
  };
  write(0);
};

/** Sends without end; how much was taken when for half a second nothing more was. */
function whileTaken(upstream: Stage["upstream"]): Promise<number> {
  return new Promise((resolve) => {
    upstream.answer(({ response }) => {
      const event = Buffer.from(`data: ${"a".repeat(64 * 1024)}\n\n`);
      let bytes = 0;
      let still: NodeJS.Timeout | undefined;
      const write = (): void => {
        clearTimeout(still);
        do bytes += event.length;
        while (bytes < 100 * megabyte && response.write(event));
        still = setTimeout(resolve, 500, bytes);
      };
      response.writeHead(200, eventStream).on("drain", write);
      write();
    });
  });
}

/** Sends a whole request and FIN, and reads until the other side is done. */
async function halfClose({ mounted }: { readonly mounted: Mounted }): Promise<string> {
  const { hostname, port, pathname } = new URL(mounted.url);
  const socket: Socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
  const parts: Buffer[] = [];
  socket.on("data", (bytes: Buffer) => parts.push(bytes)).on("error", () => undefined);
  const lines = [
    `POST ${pathname} HTTP/1.1`,
    `host: ${hostname}:${port}`,
    "authorization: Bearer ada",
    "content-type: application/json",
    "content-length: 2",
    `x-fal-target-url: ${stream}`,
    "connection: close",
  ];
  socket.end(`${lines.join("\r\n")}\r\n\r\n{}`);
  await once(socket, "close");
  return Buffer.concat(parts).toString();
}
